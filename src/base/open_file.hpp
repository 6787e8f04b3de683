// Opens the files that a user names: never waits for the other side of a FIFO or a device, and says what can
// be done about a failure.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>
#include <string_view>

namespace strata {

// What a user can do when a system call fails with this errno; empty where the message says it all.
[[nodiscard]] std::string hint_for(int code);

inline constexpr const char* privileged_port_hint = "ports below 1024 need privileges; choose a later one";

// "a directory", "a FIFO": what a file of this mode (stat's st_mode) is.
[[nodiscard]] std::string_view kind_of_file(unsigned mode);

// For reading. Only a regular file will do; messages call it "`what` `path`".
[[nodiscard]] Result<FileDescriptor> open_to_read(const std::string& path, std::string_view what);

// For writing from its beginning on: made if it is missing, emptied if it is a regular file. The descriptor
// is in blocking mode. A FIFO needs a reader already.
[[nodiscard]] Result<FileDescriptor> open_to_write(const std::string& path, std::string_view what);

} // namespace strata
