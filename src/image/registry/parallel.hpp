// A few threads for the pieces of an image; the first failure stops them all.
#pragma once

#include "base/error.hpp"

#include <atomic>
#include <cstddef>
#include <functional>

namespace strata::image {

inline constexpr std::size_t most_transfers = 3; // at one time

// Calls `work` for 0 … count-1. `work` looks at its second argument where it takes long, and gives up when it
// is set.
[[nodiscard]] Result<void>
for_each_parallel(std::size_t count, std::size_t threads,
                  const std::function<Result<void>(std::size_t, std::atomic<bool>&)>& work);

} // namespace strata::image
