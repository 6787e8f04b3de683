// The translator as an engine.
#pragma once

#include "cpu/engine.hpp"

#include <string>

namespace strata::cpu::translator {

[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock);
// Proves all code safe before it runs (host_check.hpp), or ends the process: for tests.
[[nodiscard]] Result<std::unique_ptr<Engine>> create_checked_engine(memory::GuestMemory& memory,
                                                                    const Clock& clock);
// Likewise, and translates each block before it first runs: slower, but nothing passes it by.
[[nodiscard]] Result<std::unique_ptr<Engine>> create_eager_engine(memory::GuestMemory& memory,
                                                                  const Clock& clock);

} // namespace strata::cpu::translator
