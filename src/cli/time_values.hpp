// Times and durations as users write them, Docker's way.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>

namespace strata::cli {

// "1m30s", "500ms", "1.5h", as nanoseconds; `option` begins the message of an error.
[[nodiscard]] Result<std::int64_t> parse_duration(const std::string& text, const std::string& option);

// Nanoseconds since 1970 of "2024-01-31T12:00:00Z" (or only a part of it, or with an offset), of
// "1706702400.5", or of a duration: so long before now.
[[nodiscard]] Result<std::int64_t> parse_time(const std::string& text, const std::string& option);

// "2024-01-31T12:00:00.123456789Z"
[[nodiscard]] std::string precise_time_text(std::int64_t nanoseconds);

} // namespace strata::cli
