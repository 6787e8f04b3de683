// Ports of the host that lead to ports of the guest, as the user writes them.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::backends {

struct PortForward {
    std::string host_address; // IPv4; empty: every address of the host
    std::uint16_t host_port = 0;
    std::uint16_t guest_port = 0;
    bool udp = false;
};

// From "[ADDRESS:]HOST:GUEST[/tcp|/udp]": "8080:80", "127.0.0.1:5353:53/udp".
[[nodiscard]] Result<PortForward> parse_port_forward(std::string_view text);

// Whether both want the same port of the host.
[[nodiscard]] bool overlap(const PortForward& one, const PortForward& other);

// The same as is parsed, for messages.
[[nodiscard]] std::string to_string(const PortForward& forward);

} // namespace strata::backends
