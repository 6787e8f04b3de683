#include "instance/network/bridge.hpp"

#include "instance/events.hpp"
#include "instance/network/bridge_device.hpp"
#include "instance/network/name_server.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/file.h>

namespace strata::instance {
namespace {

// The names of the devices: the end that is the host's, and the container's.
std::string outer_device(const Instance& instance, unsigned number) {
    return (number == 0 ? "st" : fmt::format("s{:x}", number)) + instance.id.substr(0, 12);
}

std::string inner_device(unsigned number) { return fmt::format("eth{}", number); }

// One that follows from the address, so that those who knew who had it before reach who has it now. Its first
// byte says that it was given by hand.
HardwareAddress hardware_address(Address address) {
    constexpr std::uint8_t by_hand = 0x02;
    HardwareAddress result{by_hand, 's'};
    for (unsigned i = 0; i < sizeof address; ++i) {
        result[2 + i] = static_cast<std::uint8_t>(address >> (24 - 8 * i));
    }
    return result;
}

constexpr unsigned most_networks = 16; // of one container: so many names there are

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
    const auto lock = lock_bridges();
    auto current = find_network(instances, network.id); // another's first container may have moved it
    if (!current) {
        return std::unexpected(current.error());
    }
    network = std::move(*current);
    const auto bridge = need_bridge(instances, *host, network);
    if (!bridge) {
        return std::unexpected(bridge.error());
    }
    endpoint.device = outer_device(instance, number);
    auto taken = take_address(instances, network, std::move(endpoint));
    if (!taken) {
        return taken;
    }
    endpoint = std::move(*taken);
    const auto inner = inner_device(number);
    const auto& netlink = inside.netlink;
    static_cast<void>(host->remove_device(endpoint.device)); // of an earlier run, which is not gone yet
    auto done = host->make_line(endpoint.device, *bridge,
                                {inner, hardware_address(endpoint.address), inside.space.get()});
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

// Gives the address back; the line is one of `lines` then.
void leave(const Instances& instances, Endpoint endpoint, HostDevices& lines) {
    if (endpoint.address == 0 && endpoint.device.empty()) {
        return;
    }
    if (const auto host = Netlink::open(NETLINK_ROUTE)) {
        if (const auto line = host->link(endpoint.device)) {
            lines.add(line->index);
        }
    }
    endpoint.address = 0;
    endpoint.device.clear();
    static_cast<void>(save_endpoint(instances, endpoint));
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
    HostDevices lines;
    leave(instances, endpoint, lines);
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

HostDevices leave_bridges(const Instances& instances, const Instance& instance) {
    HostDevices lines;
    for (const auto& endpoint : endpoints_of(instances, instance).value_or(std::vector<Endpoint>{})) {
        leave(instances, endpoint, lines);
    }
    return lines;
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
    HostDevices lines;
    leave(instances, *found, lines);
    auto removed = remove_endpoint(instances, *found);
    if (removed) {
        record_network_event(instances.database(), network.id, "disconnect",
                             {{"name", network.name}, {"container", instance.id}});
    }
    return removed;
}

Result<void> remove_with_bridge(const Instances& instances, const Network& network) {
    const auto host = Netlink::open(NETLINK_ROUTE);
    if (!host) {
        return std::unexpected(host.error());
    }
    const auto lock = lock_bridges();
    auto removed = remove_network(instances, network);
    if (removed) {
        drop_bridge(instances, *host, network);
    }
    return removed;
}

Result<void> prune_bridges(const Instances& instances) {
    const auto networks = list_networks(instances);
    const auto host = Netlink::open(NETLINK_ROUTE);
    if (!networks || !host) {
        return std::unexpected(networks ? host.error() : networks.error());
    }
    const auto lock = lock_bridges();
    for (const auto& network : *networks) {
        drop_bridge(instances, *host, network);
    }
    drop_orphaned_bridges(instances, *host);
    return {};
}

} // namespace strata::instance
