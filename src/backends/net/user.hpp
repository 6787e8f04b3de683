// User-mode networking: a network inside this process, whose gateway reaches the host's network with the
// user's own sockets. No privileges needed. The TCP/IP stack is libslirp's.
//
// The guest's network is 10.0.2.0/24 and fec0::/64: gateway .2 (the host), name server .3, DHCP gives .15 on.
#pragma once

#include "backends/net/net.hpp"
#include "backends/net/port_forward.hpp"
#include "base/event_loop.hpp"

#include <memory>
#include <vector>

namespace strata::backends {

struct UserNetOptions {
    std::vector<PortForward> forwards{};
    std::string hostname{};    // what DHCP tells the guest; empty: nothing
    unsigned mtu = 1500;       // bytes of a packet without its Ethernet header; the stack takes up to 65521
    bool host_loopback = true; // whether the gateway's address leads to the host's own 127.0.0.1
};

[[nodiscard]] Result<std::unique_ptr<NetBackend>> create_user_net(EventLoop& loop,
                                                                  const UserNetOptions& options);

} // namespace strata::backends
