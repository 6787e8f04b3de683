// The lines between containers and the bridges of their networks.
#pragma once

#include "instance/network/network.hpp"
#include "instance/network/networks.hpp"

namespace strata::instance {

// Makes a network namespace that is connected to each of the instance's networks.
[[nodiscard]] Result<Connection> connect_bridges(const Instances& instances, const Instance& instance);
void disconnect_bridges(const Instances& instances, const Instance& instance);

// Connects an instance to one more network, or takes it off one; at once if it runs.
[[nodiscard]] Result<void> add_to_network(const Instances& instances, const Instance& instance,
                                          const Network& network, Endpoint endpoint);
[[nodiscard]] Result<void> take_off_network(const Instances& instances, const Instance& instance,
                                            const Network& network);

} // namespace strata::instance
