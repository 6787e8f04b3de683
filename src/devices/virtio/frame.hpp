// What a network device has to know about the frames that pass through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace strata::devices::virtio {

// Puts the Internet checksum (RFC 1071) of the frame from `start` on into the 16 bits at start + offset,
// where the driver has left the pseudo header's sum (VIRTIO 1.2, section 5.1.6.2). False if they are not in
// the frame.
[[nodiscard]] bool complete_checksum(std::span<std::byte> frame, std::size_t start, std::size_t offset);

// The same number for both directions of a TCP or UDP connection over IPv4 or IPv6; 0 for other frames.
[[nodiscard]] std::uint32_t flow_of(std::span<const std::byte> frame);

} // namespace strata::devices::virtio
