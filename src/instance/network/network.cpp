#include "instance/network/network.hpp"

#include "image/privileges.hpp"
#include "instance/network/bridge.hpp"
#include "instance/network/name_server.hpp"
#include "instance/network/user_mode.hpp"

#include <fmt/format.h>

namespace strata::instance {

namespace {

// Also one that was made without a network may have been connected to some.
bool has_bridges(const Instances& instances, const Instance& instance) {
    const auto& network = instance.settings.network;
    return is_bridged(network) ||
           (network == "none" &&
            endpoints_of(instances, instance).value_or(std::vector<Endpoint>{}).size() > 0);
}

} // namespace

Result<Connection> connect_network(const Instances& instances, const Instance& instance) {
    constexpr std::string_view other = "container:";
    const auto& network = instance.settings.network;
    if (network.starts_with(other)) {
        const auto owner = instances.find(network.substr(other.size()));
        if (!owner) {
            return std::unexpected(owner.error());
        }
        if (!owner->alive()) {
            return fail(fmt::format("container {}, whose network is to be used, does not run", owner->name),
                        "start it first (strata start)");
        }
        return Connection{.namespace_path = fmt::format("/proc/{}/ns/net", owner->pid),
                          .address = owner->address,
                          .addresses = {owner->address}};
    }
    if (network == "user") {
        return connect_user();
    }
    if (!has_bridges(instances, instance)) {
        return Connection{};
    }
    auto bridge = connect_bridges(instances, instance);
    if (!bridge && bridge.error().code == EPERM && image::in_user_namespace()) {
        bridge.error().hint = "without root there is no bridge: use --network user";
    }
    return bridge;
}

Result<Connection> reconnect_network(const Instances& instances, const Instance& instance) {
    if (instance.settings.network == "user") {
        return reconnect_user(instance.pid);
    }
    Connection connection{.address = instance.address};
    if (!has_bridges(instances, instance)) {
        return connection;
    }
    auto names = serve_names_again(instances, instance);
    if (!names) {
        return std::unexpected(names.error());
    }
    connection.names = std::move(*names);
    return connection;
}

HostDevices leave_network(const Instances& instances, const Instance& instance) {
    return leave_bridges(instances, instance);
}

} // namespace strata::instance
