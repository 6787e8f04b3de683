#include "devices/virtio/frame.hpp"

#include "base/bytes.hpp"

#include <optional>

namespace strata::devices::virtio {

namespace {

constexpr std::size_t ethernet_header = 14, ethernet_type = 12;
constexpr std::uint16_t type_ipv4 = 0x0800, type_ipv6 = 0x86DD;
constexpr std::uint8_t protocol_tcp = 6, protocol_udp = 17;

// Where the addresses and ports of a connection are in a frame.
struct Flow {
    std::size_t addresses, addresses_size, ports;
    std::uint8_t protocol;
};

std::optional<Flow> find_flow(std::span<const std::byte> frame) {
    constexpr std::size_t ipv4_header = 20, ipv6_header = 40;
    if (frame.size() < ethernet_header + ipv4_header) {
        return std::nullopt;
    }
    const auto* ip = frame.data() + ethernet_header;
    switch (load_be<std::uint16_t>(&frame[ethernet_type])) {
    case type_ipv4: {
        const auto header = (std::to_integer<std::size_t>(ip[0]) & 15) * 4;
        return Flow{ethernet_header + 12, 8, ethernet_header + header, std::to_integer<std::uint8_t>(ip[9])};
    }
    case type_ipv6:
        return Flow{ethernet_header + 8, 32, ethernet_header + ipv6_header,
                    std::to_integer<std::uint8_t>(ip[6])};
    default: return std::nullopt;
    }
}

} // namespace

bool complete_checksum(std::span<std::byte> frame, std::size_t start, std::size_t offset) {
    if (start > frame.size() || offset + 2 > frame.size() - start) {
        return false;
    }
    const auto part = frame.subspan(start);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i + 1 < part.size(); i += 2) {
        sum += load_be<std::uint16_t>(&part[i]);
    }
    if (part.size() % 2 != 0) {
        sum += std::to_integer<std::uint64_t>(part.back()) << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    auto checksum = static_cast<std::uint16_t>(~sum);
    if (checksum == 0) {
        checksum = 0xFFFF; // the same in one's complement; for UDP 0 means none (RFC 768)
    }
    store_be(&part[offset], checksum);
    return true;
}

std::uint32_t flow_of(std::span<const std::byte> frame) {
    const auto flow = find_flow(frame);
    if (!flow || (flow->protocol != protocol_tcp && flow->protocol != protocol_udp) ||
        flow->ports + 4 > frame.size()) {
        return 0;
    }
    // A sum of both ends does not know which is which.
    std::uint32_t sum =
        load_be<std::uint16_t>(&frame[flow->ports]) + load_be<std::uint16_t>(&frame[flow->ports + 2]);
    for (std::size_t i = 0; i < flow->addresses_size; i += 4) {
        sum += load_be<std::uint32_t>(&frame[flow->addresses + i]);
    }
    return sum ^ (sum >> 16);
}

} // namespace strata::devices::virtio
