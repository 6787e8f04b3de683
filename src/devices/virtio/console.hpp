// The console device with one port. VIRTIO 1.2, section 5.3.
#pragma once

#include "backends/char/char.hpp"
#include "devices/virtio/device.hpp"

#include <memory>

namespace strata::devices::virtio {

inline constexpr DeviceInfo console_info{"virtio-console", "console: hvc0 in a Linux guest"};

// `backend` outlives the device.
[[nodiscard]] std::unique_ptr<VirtioDevice> create_console(const Environment& environment,
                                                           backends::CharBackend& backend);

} // namespace strata::devices::virtio
