// The lines between containers and the bridges of their networks.
#pragma once

#include "instance/network/network.hpp"
#include "instance/network/networks.hpp"

namespace strata::instance {

// Makes a network namespace that is connected to each of the instance's networks.
[[nodiscard]] Result<Connection> connect_bridges(const Instances& instances, const Instance& instance);
// Gives the instance's addresses back; the lines are what is returned.
[[nodiscard]] HostDevices leave_bridges(const Instances& instances, const Instance& instance);

// Connects an instance to one more network, or takes it off one; at once if it runs.
[[nodiscard]] Result<void> add_to_network(const Instances& instances, const Instance& instance,
                                          const Network& network, Endpoint endpoint);
[[nodiscard]] Result<void> take_off_network(const Instances& instances, const Instance& instance,
                                            const Network& network);

// Removes a network and its bridge; refused where a container that runs is in it.
[[nodiscard]] Result<void> remove_with_bridge(const Instances& instances, const Network& network);
// Removes the bridges that no container which runs is connected to.
[[nodiscard]] Result<void> prune_bridges(const Instances& instances);

} // namespace strata::instance
