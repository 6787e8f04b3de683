// The bridges of networks, as devices of this host. A network's is made when a container first needs it, and
// stays for the next one, with its rules: making and removing it takes the kernel longer than running a short
// program does. It goes with the network, by `network prune`, or when another one is made and its state
// directory is no more.
//
// A bridge is known by a remark that is left at it: "strata network ID of DIRECTORY".
#pragma once

#include "base/file_descriptor.hpp"
#include "instance/network/netlink.hpp"
#include "instance/network/networks.hpp"

namespace strata::instance {

// While bridges are looked for, made and removed: between all processes of this host, whatever their state.
// All below want it.
[[nodiscard]] FileDescriptor lock_bridges();

// The device's index; the bridge is as it must be then.
[[nodiscard]] Result<unsigned> need_bridge(const Instances& instances, const Netlink& host, Network& network);
// Removes a network's bridge, if it has one that no container is connected to.
void drop_bridge(const Instances& instances, const Netlink& host, const Network& network);
// Removes those that nobody is connected to and whose network is no more.
void drop_orphaned_bridges(const Instances& instances, const Netlink& host);

[[nodiscard]] bool host_has_ipv6();

} // namespace strata::instance
