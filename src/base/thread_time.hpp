// The processor time that the calling thread has used: what work took, however busy the host was.
#pragma once

#include <chrono>
#include <ctime>

namespace strata {

[[nodiscard]] inline std::chrono::nanoseconds thread_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

} // namespace strata
