// A console on a pseudo-terminal, for terminal programs on the host.
#pragma once

#include "backends/char/char.hpp"

namespace strata::backends {

[[nodiscard]] Result<std::unique_ptr<CharBackend>> open_pty(EventLoop& loop);

} // namespace strata::backends
