// How a container reaches others.
#pragma once

#include "instance/instances.hpp"
#include "instance/network/helper_process.hpp"
#include "instance/network/host_devices.hpp"

#include <string>
#include <vector>

namespace strata::instance {

// What a running container has of the network. Destroyed, it is gone; so it is when its process is killed,
// but for what the next one of the same instance, or its removal, takes away.
struct Connection {
    std::string namespace_path{};         // to join; "" for none
    std::string address{};                // of the container, "" for none
    std::vector<std::string> addresses{}; // all of them, of IPv6, too
    FileDescriptor handle{};              // keeps the namespace while the container is made
    HelperProcess server{};               // "user": the other end of its device
    HelperProcess names{};                // answers for names of other containers; where there is one
};

// "none" and "host" need nothing; "container:ID" joins another's; "user" and the lines to bridges are made.
[[nodiscard]] Result<Connection> connect_network(const Instances& instances, const Instance& instance);
// What a running instance has, when the process that had it was killed: what ended with that is made again.
[[nodiscard]] Result<Connection> reconnect_network(const Instances& instances, const Instance& instance);
// When the instance has ended: gives its addresses back. What is left of its devices goes with the result, or
// sooner, with its namespace; the kernel takes its time for either.
[[nodiscard]] HostDevices leave_network(const Instances& instances, const Instance& instance);

} // namespace strata::instance
