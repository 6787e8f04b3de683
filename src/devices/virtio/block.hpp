// The block device: a disk. VIRTIO 1.2, section 5.2.
#pragma once

#include "backends/block/block.hpp"
#include "devices/virtio/device.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace strata::devices::virtio {

struct BlockOptions {
    std::string serial;       // at most 20 characters; /dev/disk/by-id in the guest
    std::uint16_t queues = 1; // 1 or more; more than one for a guest with more processors
};

inline constexpr DeviceInfo block_info{"virtio-blk", "disk, from an image or a block device"};

// `backend` outlives the device.
[[nodiscard]] std::unique_ptr<VirtioDevice>
create_block(const Environment& environment, backends::BlockBackend& backend, const BlockOptions& options);

} // namespace strata::devices::virtio
