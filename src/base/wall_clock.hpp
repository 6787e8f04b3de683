// The time of day, which is set, as opposed to Clock's, which only goes on.
#pragma once

#include <cstdint>
#include <ctime>

namespace strata {

[[nodiscard]] inline std::int64_t nanoseconds_since_1970() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

} // namespace strata
