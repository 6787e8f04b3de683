// What the host's processor can do.
#pragma once

#include "cpu/x86/model.hpp"

#include <string>

namespace strata::cpu::translator {

// A model with the features that the host's CPUID shows.
[[nodiscard]] const x86::Model& host_model();

// Why translated code can't run here; empty if it can.
[[nodiscard]] std::string unavailable();

} // namespace strata::cpu::translator
