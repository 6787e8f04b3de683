// The translator as an engine.
#pragma once

#include "cpu/engine.hpp"

#include <string>

namespace strata::cpu::translator {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock);
// Translates each block before it first runs: slower, but nothing passes it by.
[[nodiscard]] Result<std::unique_ptr<Engine>> create_eager_engine(memory::GuestMemory& memory,
                                                                  const Clock& clock);

} // namespace strata::cpu::translator
