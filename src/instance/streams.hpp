// The pipes between a container's program and its monitor: FIFOs in the instance's directory (fifo(7)), so
// that the next monitor opens them again when one was killed. Until then the program is not told: what takes
// its output it has open for reading itself, and waits at most.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>

namespace strata::instance {

inline constexpr auto input_name = "stdin", output_name = "stdout", error_name = "stderr";

struct StreamPipe {
    FileDescriptor monitors, programs; // ends; the monitor's does not block
};

// Makes a pipe anew; nobody who had an old one of its name has this one.
[[nodiscard]] Result<StreamPipe> make_input(const std::string& directory);
[[nodiscard]] Result<StreamPipe> make_output(const std::string& directory, const char* name);

// The monitor's end of one that was made; nothing where there is none, or no program has the input any more.
[[nodiscard]] FileDescriptor reopen_input(const std::string& directory);
[[nodiscard]] FileDescriptor reopen_output(const std::string& directory, const char* name);

} // namespace strata::instance
