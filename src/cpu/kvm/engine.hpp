// Hardware assistance by Linux's KVM, as an engine.
#pragma once

#include "cpu/engine.hpp"

namespace strata::cpu::kvm {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock);

// Why this host can't, with the way out; empty if it can.
[[nodiscard]] std::string unavailable();

// The rate at which the TSC of this host's guests counts; 0 if KVM is not available.
[[nodiscard]] std::uint64_t tsc_hz();

} // namespace strata::cpu::kvm
