// Whole files in memory.
#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// The contents of the regular file at `path`, which messages call "`what` `path`". A file larger than `limit`
// is refused unread.
[[nodiscard]] Result<std::vector<std::byte>> read_file(const std::string& path, std::string_view what,
                                                       std::uint64_t limit);

} // namespace strata
