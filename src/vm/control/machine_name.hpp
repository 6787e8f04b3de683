// Named machines: each has a control socket in the user's runtime directory, by which other commands reach
// it.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>
#include <string_view>

namespace strata::vm::control {

// Where the control socket of this machine is or will be: machines/NAME.sock in $XDG_RUNTIME_DIR/strata, else
// in /run/strata for root and /tmp/strata-UID for others. A name is of letters, digits, '.', '_' and '-', up
// to 40 of them, and begins with a letter or digit.
[[nodiscard]] Result<std::string> socket_path(std::string_view name);

// Makes the folder of the sockets, for its owner alone; an error if somebody else could write to it.
[[nodiscard]] Result<void> make_socket_folder();

// Whoever has it is the only one that takes a name or a stale socket's place; others wait. It ends with the
// descriptor, or with the process.
[[nodiscard]] Result<FileDescriptor> lock_socket_folder();

} // namespace strata::vm::control
