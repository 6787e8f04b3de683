// Listening stream sockets at addresses that the user writes.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>

namespace strata {

// Non-blocking, with room for one client that waits.
struct Listener {
    FileDescriptor socket;
    std::string path;    // of a Unix socket, to be removed in the end; else empty
    std::string address; // as clients write it; a port of 0 has become a real one
};

// A Unix socket. One that a program left behind is replaced; any other file stays, and is an error.
[[nodiscard]] Result<Listener> listen_on_path(const std::string& path);

// A TCP port. `host` is a name or an address, IPv6 in brackets; empty for every address of this host.
[[nodiscard]] Result<Listener> listen_on_port(const std::string& host, const std::string& port);

// "PATH" or "HOST:PORT"; a path holds a slash or no colon.
[[nodiscard]] Result<Listener> listen_on(const std::string& address);

} // namespace strata
