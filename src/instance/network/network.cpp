#include "instance/network/network.hpp"

#include "image/privileges.hpp"
#include "instance/network/bridge.hpp"
#include "instance/network/user_mode.hpp"

#include <fmt/format.h>

namespace strata::instance {

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
                          .address = owner->address};
    }
    if (network == "user") {
        return connect_user();
    }
    if (network != "bridge") {
        return Connection{};
    }
    auto bridge = connect_bridge(instances, instance);
    if (!bridge && bridge.error().code == EPERM && image::in_user_namespace()) {
        bridge.error().hint = "without root there is no bridge: use --network user";
    }
    return bridge;
}

Result<Connection> reconnect_network(const Instance& instance) {
    if (instance.settings.network == "user") {
        return reconnect_user(instance.pid);
    }
    return Connection{.address = instance.address};
}

void disconnect_network(const Instances& instances, const Instance& instance) {
    if (instance.settings.network == "bridge") {
        disconnect_bridge(instances, instance);
    }
}

} // namespace strata::instance
