// Interpreter and translator side by side on one machine, to find where they differ. The translator leads: it
// has the machine's memory and bus, and runs until it looks at its signals. The interpreter follows on a copy
// of memory, with the answers that the bus gave, until it is where the translator got; then registers are
// compared, and from time to time all memory that either wrote. The first difference stops the processor:
// cpu::failure() has both states.
#pragma once

#include "cpu/engine.hpp"

namespace strata::cpu::lockstep {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock);

} // namespace strata::cpu::lockstep
