#include "instance/network/bridge.hpp"

#include "base/atomic_file.hpp"
#include "instance/events.hpp"
#include "instance/network/name_server.hpp"
#include "instance/network/nat.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/file.h>

namespace strata::instance {
namespace {

constexpr auto lock_path = "/run/strata-networks.lock";

// While bridges are looked for, made and removed: between all processes of this host, whatever their state.
FileDescriptor lock_host() {
    FileDescriptor file(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    while (flock(file.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    return file;
}

bool host_has_ipv6() {
    std::ifstream setting("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    return setting.get() == '0';
}

// By what a bridge is known to be a network's.
std::string tag_of(const Network& network) { return "strata network " + network.id; }

bool is_up(const Netlink& host, const Network& network) {
    return !network.device.empty() && host.alias_of(network.device) == tag_of(network);
}

// The names of the devices: the end that is the host's, and the container's.
std::string outer_device(const Instance& instance, unsigned number) {
    return (number == 0 ? "st" : fmt::format("s{:x}", number)) + instance.id.substr(0, 12);
}

std::string inner_device(unsigned number) { return fmt::format("eth{}", number); }

constexpr unsigned most_networks = 16; // of one container: so many names there are

// Somebody may have got the network's subnet while it had no bridge.
Result<void> need_own_subnet(const Instances& instances, const Netlink& host, Network& network) {
    auto used = host.used_subnets(0);
    if (!used) {
        return std::unexpected(used.error());
    }
    const auto is_taken = [&](const Subnet& other) { return overlap(network.subnet, other); };
    if (std::ranges::none_of(*used, is_taken)) {
        return {};
    }
    if (!network.is_chosen) {
        return fail(fmt::format("the subnet {} of network '{}' is used by this host for something else",
                                text_of(network.subnet), network.name),
                    "make the network again with another one (strata network create --subnet)");
    }
    const auto all = list_networks(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    for (const auto& other : *all) {
        if (other.id != network.id) {
            used->push_back(other.subnet);
        }
    }
    const auto subnet = free_subnet(*used, network.is_default());
    if (!subnet) {
        return std::unexpected(subnet.error());
    }
    network.subnet = *subnet;
    network.gateway = subnet->base + 1;
    return {};
}

Result<void> make_bridge(const Instances& instances, const Netlink& host, Network& network) {
    if (auto own = need_own_subnet(instances, host, network); !own) {
        return own;
    }
    for (unsigned number = 0;; ++number) {
        network.device = fmt::format("{}{}", bridge_prefix, number);
        if (host.index_of(network.device) != 0) {
            continue;
        }
        if (auto saved = save_network(instances, network); !saved) {
            return saved;
        }
        const auto made = host.make_bridge(network.device, tag_of(network));
        if (made || made.error().code != EEXIST) {
            return made;
        }
    }
}

// The bridge as it must be, with the host's lock held.
Result<void> need_bridge(const Instances& instances, const Netlink& host, Network& network) {
    auto done = is_up(host, network) ? Result<void>{} : make_bridge(instances, host, network);
    const auto& device = network.device;
    done = done ? host.add_address(device, network.gateway, network.subnet.prefix) : done;
    done = done ? host.switch_on(device) : done;
    done = done ? need_rules(device, network.subnet, network.internal) : done;
    if (network.subnet6 && host_has_ipv6()) {
        const auto gateway = address_in(network.subnet6, network.gateway);
        done = done ? host.add_address(device, gateway, network.subnet6.prefix) : done;
        done = done ? need_rules(device, network.subnet6, network.internal) : done;
    }
    if (done && !network.internal) { // packets between the bridge and other devices
        const FileDescriptor file(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC));
        done = write_all(file.get(), "1", "/proc/sys/net/ipv4/ip_forward");
    }
    return done;
}

// The bridge of a network that nobody is in any more, with the host's lock held.
void drop_bridge(const Instances& instances, const Netlink& host, const Network& network) {
    const auto others = endpoints_in(instances, network);
    const bool is_used =
        !others || std::ranges::any_of(*others, [](const Endpoint& other) { return other.address != 0; });
    if (!is_used && is_up(host, network)) {
        static_cast<void>(host.remove_device(network.device));
        remove_rules(network.device);
    }
}

// A namespace, which this process, of one thread, has open, and a socket to it.
struct Inside {
    FileDescriptor space;
    Netlink netlink;
};

// In a new namespace, or in `joined`; this process is back in its own at the end.
Result<Inside> open_namespace(const FileDescriptor& joined = {}) {
    const FileDescriptor own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!own || (joined ? setns(joined.get(), CLONE_NEWNET) : unshare(CLONE_NEWNET)) != 0) {
        return fail_errno("make", "a network namespace");
    }
    FileDescriptor made(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    auto netlink = Netlink::open(NETLINK_ROUTE);
    if (setns(own.get(), CLONE_NEWNET) != 0) {
        return fail_errno("return from", "a network namespace");
    }
    if (!made || !netlink) {
        return netlink ? fail_errno("open", "a network namespace") : std::unexpected(netlink.error());
    }
    return Inside{std::move(made), std::move(*netlink)};
}

// Takes an address, and makes the line from the bridge into the namespace.
Result<Endpoint> connect(const Instances& instances, const Instance& instance, Endpoint endpoint,
                         Network& network, const Inside& inside, unsigned number) {
    const auto host = Netlink::open(NETLINK_ROUTE);
    if (!host) {
        return std::unexpected(host.error());
    }
    const auto lock = lock_host();
    auto done = need_bridge(instances, *host, network);
    if (done) {
        endpoint.device = outer_device(instance, number);
        auto taken = take_address(instances, network, std::move(endpoint));
        if (!taken) {
            drop_bridge(instances, *host, network);
            return taken;
        }
        endpoint = std::move(*taken);
    }
    const auto inner = inner_device(number);
    const auto& netlink = inside.netlink;
    static_cast<void>(host->remove_device(endpoint.device)); // of a monitor that was killed
    done = done ? host->make_pair(endpoint.device, inner, inside.space.get()) : done;
    done = done ? host->switch_on(endpoint.device, host->index_of(network.device)) : done;
    done = done ? netlink.add_address(inner, endpoint.address, network.subnet.prefix) : done;
    done = done ? netlink.switch_on(inner) : done;
    done = done && !network.internal ? netlink.add_default_route(network.gateway) : done;
    if (done && network.subnet6 && host_has_ipv6()) {
        const auto& subnet6 = network.subnet6;
        done = netlink.add_address(inner, address_in(subnet6, endpoint.address), subnet6.prefix);
        done = done && !network.internal ? netlink.add_default_route(address_in(subnet6, network.gateway))
                                         : done;
    }
    return done ? Result<Endpoint>(std::move(endpoint)) : std::unexpected(done.error());
}

// Gives the address back, and takes the bridge down if it was the last.
void disconnect(const Instances& instances, const Network& network, Endpoint endpoint) {
    const auto host = Netlink::open(NETLINK_ROUTE);
    if (!host) {
        return;
    }
    const auto lock = lock_host();
    if (!endpoint.device.empty()) { // it is gone with the namespace, usually
        static_cast<void>(host->remove_device(endpoint.device));
    }
    endpoint.address = 0;
    endpoint.device.clear();
    static_cast<void>(save_endpoint(instances, endpoint));
    drop_bridge(instances, *host, network);
}

// The instance's places, the one that its settings name among them.
Result<std::vector<Endpoint>> need_endpoints(const Instances& instances, const Instance& instance) {
    auto endpoints = endpoints_of(instances, instance);
    const auto& settings = instance.settings;
    if (!endpoints || !is_bridged(settings.network)) {
        return endpoints;
    }
    const auto network = find_network(instances, settings.network);
    if (!network) {
        return std::unexpected(network.error());
    }
    const auto first = std::ranges::find(*endpoints, network->id, &Endpoint::network);
    if (first != endpoints->end()) {
        std::rotate(endpoints->begin(), first, first + 1);
        return endpoints;
    }
    endpoints->insert(
        endpoints->begin(),
        Endpoint{.network = network->id, .instance = instance.id, .aliases = settings.network_aliases});
    if (!settings.network_address.empty()) {
        endpoints->front().wanted = parse_address(settings.network_address).value_or(0);
    }
    return endpoints;
}

// The lowest that none of the instance's devices has.
unsigned free_number(const Instance& instance, const std::vector<Endpoint>& endpoints) {
    unsigned number = 0;
    while (number < most_networks && std::ranges::find(endpoints, outer_device(instance, number),
                                                       &Endpoint::device) != endpoints.end()) {
        ++number;
    }
    return number;
}

Result<void> connect_running(const Instances& instances, const Instance& instance, Endpoint endpoint,
                             Network network, unsigned number) {
    const FileDescriptor space(
        open(fmt::format("/proc/{}/ns/net", instance.pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (!space) {
        return fail_errno("open the network namespace of", instance.name);
    }
    const auto inside = open_namespace(space);
    const auto connected = inside ? connect(instances, instance, endpoint, network, *inside, number)
                                  : Result<Endpoint>(std::unexpected(inside.error()));
    if (connected) {
        return {};
    }
    disconnect(instances, network, endpoint);
    static_cast<void>(remove_endpoint(instances, endpoint));
    return std::unexpected(connected.error());
}

} // namespace

Result<Connection> connect_bridges(const Instances& instances, const Instance& instance) {
    const auto endpoints = need_endpoints(instances, instance);
    auto inside = endpoints ? open_namespace() : std::unexpected(endpoints.error());
    if (!inside) {
        return std::unexpected(inside.error());
    }
    if (auto on = inside->netlink.switch_on("lo"); !on) {
        return std::unexpected(on.error());
    }
    Connection connection;
    bool has_names = false;
    for (unsigned number = 0; number < endpoints->size(); ++number) {
        auto network = find_network(instances, (*endpoints)[number].network);
        const auto connected =
            network ? connect(instances, instance, (*endpoints)[number], *network, *inside, number)
                    : Result<Endpoint>(std::unexpected(network.error()));
        if (!connected) {
            return std::unexpected(connected.error());
        }
        has_names = has_names || !network->is_default();
        connection.addresses.push_back(text_of(connected->address));
        if (network->subnet6 && host_has_ipv6()) {
            connection.addresses.push_back(text_of(address_in(network->subnet6, connected->address)));
        }
    }
    connection.address = connection.addresses.empty() ? "" : connection.addresses.front();
    if (has_names) {
        auto names = serve_names(instances, instance, inside->space);
        if (!names) {
            return std::unexpected(names.error());
        }
        connection.names = std::move(*names);
    }
    connection.namespace_path = fmt::format("/proc/{}/fd/{}", getpid(), inside->space.get());
    connection.handle = std::move(inside->space);
    return connection;
}

void disconnect_bridges(const Instances& instances, const Instance& instance) {
    const auto endpoints = endpoints_of(instances, instance);
    if (!endpoints) {
        return;
    }
    for (const auto& endpoint : *endpoints) {
        if (const auto network = find_network(instances, endpoint.network)) {
            disconnect(instances, *network, endpoint);
        }
    }
}

Result<void> add_to_network(const Instances& instances, const Instance& instance, const Network& network,
                            Endpoint endpoint) {
    const auto& mode = instance.settings.network;
    if (!is_bridged(mode) && mode != "none") {
        return fail(fmt::format("container {} has no network of its own: --network {}", instance.name, mode));
    }
    const auto endpoints = need_endpoints(instances, instance);
    if (!endpoints) {
        return std::unexpected(endpoints.error());
    }
    if (std::ranges::find(*endpoints, network.id, &Endpoint::network) != endpoints->end()) {
        return fail(fmt::format("container {} is in network '{}' already", instance.name, network.name));
    }
    const auto number = free_number(instance, *endpoints);
    if (number == most_networks) {
        return fail(fmt::format("container {} is in {} networks: that is all it can be in", instance.name,
                                most_networks));
    }
    endpoint.network = network.id;
    endpoint.instance = instance.id;
    auto done = instance.alive() ? connect_running(instances, instance, std::move(endpoint), network, number)
                                 : save_endpoint(instances, endpoint);
    if (done) {
        record_network_event(instances.database(), network.id, "connect",
                             {{"name", network.name}, {"container", instance.id}});
    }
    return done;
}

Result<void> take_off_network(const Instances& instances, const Instance& instance, const Network& network) {
    const auto endpoints = need_endpoints(instances, instance);
    if (!endpoints) {
        return std::unexpected(endpoints.error());
    }
    const auto found = std::ranges::find(*endpoints, network.id, &Endpoint::network);
    if (found == endpoints->end()) {
        return fail(fmt::format("container {} is not in network '{}'", instance.name, network.name));
    }
    if (instance.settings.network == network.name) { // its next start finds the others
        auto changed = instance;
        changed.settings.network = "none";
        if (auto saved = instances.save_settings(changed); !saved) {
            return saved;
        }
    }
    disconnect(instances, network, *found);
    auto removed = remove_endpoint(instances, *found);
    if (removed) {
        record_network_event(instances.database(), network.id, "disconnect",
                             {{"name", network.name}, {"container", instance.id}});
    }
    return removed;
}

} // namespace strata::instance
