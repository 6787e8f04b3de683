// A console as a server on a Unix or TCP socket, for one client at a time.
#pragma once

#include "backends/char/char.hpp"

namespace strata::backends {

// "PATH" or "HOST:PORT"; a path holds a slash or no colon.
[[nodiscard]] Result<std::unique_ptr<CharBackend>> open_socket(EventLoop& loop, const std::string& address);

} // namespace strata::backends
