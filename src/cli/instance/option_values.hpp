// How values of the options of `run` and `create` are written, Docker's way; errors name the whole of what
// was written.
#pragma once

#include "base/error.hpp"
#include "instance/settings.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace strata::cli {

// The parts between separators; one, empty, of an empty text.
[[nodiscard]] std::vector<std::string> split(const std::string& text, char separator);
// KEY=VALUE; an empty value where there is no "=".
[[nodiscard]] std::pair<std::string, std::string> key_and_value(const std::string& text);
// Bytes; 0 of an empty text, and -1 stays.
[[nodiscard]] Result<std::int64_t> size_of(const std::string& text);
[[nodiscard]] std::string upper_case(std::string text);
// That `target` is an absolute path; `whole` is for the error.
[[nodiscard]] Result<void> check_target(const std::string& target, const std::string& whole);

// [ADDRESS:][HOST:]CONTAINER[/PROTOCOL]
[[nodiscard]] Result<instance::Port> parse_port(const std::string& text);
// [SOURCE:]TARGET[:OPTIONS]
[[nodiscard]] Result<instance::MountPoint> parse_volume(const std::string& text);
// type=TYPE,source=SOURCE,target=TARGET,...
[[nodiscard]] Result<instance::MountPoint> parse_mount(const std::string& text);

} // namespace strata::cli
