// A state as it comes back from the kernel after it was given to it: for comparisons.
#pragma once

#include "cpu/x86/model.hpp"
#include "cpu/x86/state.hpp"

namespace strata::cpu::kvm {

// What the kernel keeps is `state`'s, the rest as in `theirs`, which came from the kernel.
[[nodiscard]] x86::State as_kept(const x86::State& state, const x86::State& theirs, const x86::Model& model);

// Hidden parts of segment registers differ between processors where nobody can see it: AMD's keep no
// granularity and no rights of a null segment, and its SS has the CPL. This leaves what all have.
void leave_visible_parts(x86::State& state);

} // namespace strata::cpu::kvm
