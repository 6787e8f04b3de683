// The interpreter as an engine.
#pragma once

#include "cpu/engine.hpp"

namespace strata::cpu::interpreter {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock);

} // namespace strata::cpu::interpreter
