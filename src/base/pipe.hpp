// A pipe between a process and its child, and the child's end.
#pragma once

#include "base/file_descriptor.hpp"

#include <optional>
#include <string>
#include <sys/types.h>

namespace strata {

struct Pipe {
    FileDescriptor read_end, write_end;
};

// Not handed on to other programs. Empty: errno says why.
[[nodiscard]] std::optional<Pipe> make_pipe();

// All that comes until nobody can write any more. Empty: errno says why.
[[nodiscard]] std::optional<std::string> read_until_closed(const FileDescriptor& read_end);

// Waits for a child's end, whatever signals come: its status as waitpid(2) gives it.
int wait_for_end(pid_t child);

} // namespace strata
