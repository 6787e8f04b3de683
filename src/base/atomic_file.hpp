// Files that are there whole or not at all: written aside, flushed, and renamed into place.
#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace strata {

// Writes all of `data` to `fd`, which messages call `object`.
[[nodiscard]] Result<void> write_all(int fd, std::span<const std::byte> data, std::string_view object);
[[nodiscard]] Result<void> write_all(int fd, std::string_view data, std::string_view object);

// Replaces (or makes) the file at `path`; a reader sees the old contents or the new, also after a crash.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view contents, mode_t mode);

// The same for what a crash of the machine makes worthless, as it does what belongs to a running process: a
// reader sees the old contents or the new, whichever process is killed, and nobody waits for the disk.
[[nodiscard]] Result<void> replace_passing_file(const std::string& path, std::string_view contents,
                                                mode_t mode);

// Makes the directory and those above it that are missing.
[[nodiscard]] Result<void> make_directories(const std::string& path, mode_t mode);

} // namespace strata
