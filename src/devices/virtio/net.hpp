// The network device: an Ethernet card. VIRTIO 1.2, section 5.1.
#pragma once

#include "backends/net/net.hpp"
#include "devices/virtio/device.hpp"

#include <array>
#include <cstdint>
#include <memory>

namespace strata::devices::virtio {

inline constexpr DeviceInfo net_info{"virtio-net", "network card"};

using MacAddress = std::array<std::uint8_t, 6>;

struct NetOptions {
    MacAddress mac{0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    std::uint16_t queue_pairs = 1; // 1 or more; more for a guest with more processors
};

// `backend` outlives the device.
[[nodiscard]] std::unique_ptr<VirtioDevice>
create_net(const Environment& environment, backends::NetBackend& backend, const NetOptions& options);

} // namespace strata::devices::virtio
