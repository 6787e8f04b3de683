// A container's terminal: made in its own devpts, and handed to whoever serves it.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/config/config.hpp"
#include "container/kernel/root_directory.hpp"

#include <string>

namespace strata::container {

struct Terminal {
    FileDescriptor master, slave;
};

// A pair in the devpts that is mounted at /dev/pts in `root`.
[[nodiscard]] Result<Terminal> open_terminal(const RootDirectory& root,
                                             const std::optional<ConsoleSize>& size);

// The slave becomes /dev/console.
[[nodiscard]] Result<void> bind_console(const RootDirectory& root, int slave);

// The slave becomes the controlling terminal and the standard streams of this process, in a session of its
// own.
[[nodiscard]] Result<void> use_terminal(int slave);

// A connection to the socket at `path`, to send a terminal over.
[[nodiscard]] Result<FileDescriptor> connect_socket(const std::string& path, const std::string& what);

// Sends one descriptor, with `text` beside it.
[[nodiscard]] Result<void> send_descriptor(int socket, int fd, const std::string& text);
[[nodiscard]] Result<FileDescriptor> receive_descriptor(int socket);

} // namespace strata::container
