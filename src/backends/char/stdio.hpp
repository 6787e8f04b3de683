// The terminal of this process, or, if they are none, its standard input and output as they are.
#pragma once

#include "backends/char/char.hpp"

namespace strata::backends {

[[nodiscard]] Result<std::unique_ptr<CharBackend>> open_stdio(EventLoop& loop, const CharOptions& options);

} // namespace strata::backends
