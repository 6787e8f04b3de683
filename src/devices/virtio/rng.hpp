// The entropy device: random bytes from the host. VIRTIO 1.2, section 5.4.
#pragma once

#include "devices/virtio/device.hpp"

#include <memory>

namespace strata::devices::virtio {

inline constexpr DeviceInfo rng_info{"virtio-rng", "random bytes from the host"};

[[nodiscard]] std::unique_ptr<VirtioDevice> create_rng(const Environment& environment);
// The same bytes in each run: for machines that repeat what they did.
[[nodiscard]] std::unique_ptr<VirtioDevice> create_repeating_rng(const Environment& environment);

} // namespace strata::devices::virtio
