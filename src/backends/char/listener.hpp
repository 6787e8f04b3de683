// Listening sockets by the address that the user writes.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>

namespace strata::backends {

struct Listener {
    FileDescriptor socket;
    std::string path;    // of a Unix socket, to be removed in the end; else empty
    std::string address; // as clients write it; a port of 0 has become a real one
};

// "PATH" or "HOST:PORT"; a path holds a slash or no colon.
[[nodiscard]] Result<Listener> listen_on(const std::string& address);

} // namespace strata::backends
