// The master of a container's terminal is held by a second process beside the monitor, so that the terminal
// does not hang up when the monitor is killed: the next one gets it from there. The keeper has nothing else,
// does nothing else, and ends when nobody has the terminal's other end open.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>

namespace strata::instance {

// Starts the keeper of a terminal; `directory` is the container's, where it can be asked. The process that
// starts it, and that waits for its end some time, must have one thread.
[[nodiscard]] Result<void> keep_terminal(const std::string& directory, const FileDescriptor& master);

// The terminal that is kept there; nothing if there is none.
[[nodiscard]] FileDescriptor kept_terminal(const std::string& directory);

} // namespace strata::instance
