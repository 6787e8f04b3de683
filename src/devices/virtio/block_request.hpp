// One request to a disk, from the driver's bytes to the backend's calls. VIRTIO 1.2, section 5.2.6.
#pragma once

#include "backends/block/block.hpp"
#include "devices/virtio/chain.hpp"

#include <cstdint>
#include <string_view>

namespace strata::devices::virtio {

inline constexpr std::uint64_t sector_size = 512;

// Limits told to the driver in the configuration space, and held against it.
inline constexpr std::uint32_t max_discard_sectors = 0x3f'ffff;
inline constexpr std::uint32_t max_discard_segments = 32;

enum class BlockStatus : std::uint8_t { ok = 0, io_error = 1, unsupported = 2 };

// What a request may use besides its chain.
struct BlockTarget {
    backends::BlockBackend& backend;
    std::string_view serial;
    bool flush_each_write; // the driver cannot flush: section 5.2.6.2
};

// Does the request in `chain` (without its status byte), whatever thread it is on.
[[nodiscard]] BlockStatus perform(Chain& chain, const BlockTarget& target);

} // namespace strata::devices::virtio
