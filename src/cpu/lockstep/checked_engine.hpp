// The interpreter runs the machine, and the host's processor, by KVM, checks it in samples
// (checked_vcpu.hpp). The first difference stops the processor: cpu::failure() has both sides.
#pragma once

#include "cpu/engine.hpp"

namespace strata::cpu::lockstep {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_checked_engine(memory::GuestMemory& memory,
                                                                    const Clock& clock);

} // namespace strata::cpu::lockstep
