// The translator as an engine.
#pragma once

#include "cpu/engine.hpp"

#include <string>

namespace strata::cpu::translator {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock);

} // namespace strata::cpu::translator
