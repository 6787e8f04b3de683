// What a running container uses of the host.
#pragma once

#include "instance/instances.hpp"

#include <chrono>
#include <cstdint>

namespace strata::instance {

// Bytes, but for what says otherwise; counts are since the container began.
struct Usage {
    std::chrono::steady_clock::time_point when{};
    std::uint64_t cpu_nanoseconds = 0;
    std::uint64_t memory = 0, memory_limit = 0; // without a limit of its own the host's memory
    std::uint64_t received = 0, sent = 0;       // through network devices of its own
    std::uint64_t read = 0, written = 0;        // from and to block devices
    std::uint64_t processes = 0;                // with their threads
};

// From its control groups; where it has none, its processes are asked instead, which does not tell of block
// devices, nor of what processes used that nobody waited for.
[[nodiscard]] Result<Usage> usage_of(const Instances& instances, const Instance& instance);

// Of one processor, in percent, from one time to another.
[[nodiscard]] double cpu_percent(const Usage& before, const Usage& after);

} // namespace strata::instance
