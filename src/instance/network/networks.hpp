// Networks of containers: bridges of this host, each with a private subnet behind it. The default one,
// "bridge", is there by itself, others are made by `strata network create`. A bridge is there while a
// container that runs is connected to it; its name and its subnet are chosen so that they are nobody else's
// on this host, another state directory's neither.
//
// An *endpoint* is a container's place in a network: its aliases and, while it runs, its address and its
// device.
#pragma once

#include "instance/instances.hpp"
#include "instance/network/subnet.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::instance {

inline constexpr auto default_network = "bridge";

// Whether `network`, of settings, names a bridge.
[[nodiscard]] bool is_bridged(const std::string& network);

struct Network {
    std::string id{}, name{};
    std::string device{}; // of the host; "" before it was first needed
    Subnet subnet{};
    Address gateway = 0;    // this host's address on it
    Subnet6 subnet6{};      // or none
    Address last_given = 0; // to a container that did not ask for one
    bool internal = false;
    bool is_chosen = false; // the subnet, by Strata: another will do as well
    std::map<std::string, std::string> labels{};
    std::int64_t created = 0; // seconds since 1970

    [[nodiscard]] bool is_default() const { return name == default_network; }
};

struct NetworkRequest {
    std::string name{}, subnet{}, gateway{}, subnet6{}; // "" for what Strata is to choose
    bool internal = false, ipv6 = false;
    std::map<std::string, std::string> labels{};
};

[[nodiscard]] Result<Network> create_network(const Instances& instances, const NetworkRequest& request);
// By name, ID, or the beginning of an ID. The error's code is ENOENT if there is none.
[[nodiscard]] Result<Network> find_network(const Instances& instances, const std::string& text);
[[nodiscard]] Result<std::vector<Network>> list_networks(const Instances& instances);
// One that no container which runs is connected to; the default one stays.
[[nodiscard]] Result<void> remove_network(const Instances& instances, const Network& network);
[[nodiscard]] Result<void> save_network(const Instances& instances, const Network& network);

struct Endpoint {
    std::string network{}, instance{}; // IDs
    std::vector<std::string> aliases{};
    Address wanted = 0;   // that the user asked for; 0 for any
    Address address = 0;  // 0 while it does not run
    std::string device{}; // the end of its line that is this host's
};

[[nodiscard]] Result<std::vector<Endpoint>> endpoints_of(const Instances& instances,
                                                         const Instance& instance);
[[nodiscard]] Result<std::vector<Endpoint>> endpoints_in(const Instances& instances, const Network& network);
// Whether a container may have such a place there.
[[nodiscard]] Result<void> check_endpoint(const Network& network, const std::vector<std::string>& aliases,
                                          const std::string& address);
// Also where it is there; then it is changed.
[[nodiscard]] Result<void> save_endpoint(const Instances& instances, const Endpoint& endpoint);
[[nodiscard]] Result<void> remove_endpoint(const Instances& instances, const Endpoint& endpoint);
// The next address that nobody has, or the wanted one; it is the endpoint's until it is given back. One that
// was given back is not the next: who had it may not be gone altogether. The error's code is ENOENT if the
// network was removed meanwhile.
[[nodiscard]] Result<Endpoint> take_address(const Instances& instances, const Network& network,
                                            Endpoint endpoint);

} // namespace strata::instance
