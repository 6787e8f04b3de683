// The files of a cgroup directory.
#pragma once

#include "base/error.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::container {

[[nodiscard]] Result<void> write_cgroup_file(const std::string& directory, const std::string& name,
                                             std::string_view text);
[[nodiscard]] Result<std::string> read_cgroup_file(const std::string& directory, const std::string& name);
[[nodiscard]] bool has_cgroup_file(const std::string& directory, const std::string& name);

// A file that is one number; nothing if it is absent or "max".
[[nodiscard]] std::optional<std::uint64_t> read_cgroup_number(const std::string& directory,
                                                              const std::string& name);

// The value after `key` in a file of "key value" lines.
[[nodiscard]] std::optional<std::uint64_t> find_cgroup_value(const std::string& text, std::string_view key);

// Names of the directories in it, and of the files.
[[nodiscard]] std::vector<std::string> child_cgroups(const std::string& directory);
[[nodiscard]] std::vector<std::string> cgroup_files(const std::string& directory);

[[nodiscard]] std::vector<std::string> split_lines(const std::string& text);

} // namespace strata::container
