#include "instance/network/networks.hpp"

#include "instance/events.hpp"
#include "instance/identity.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <nlohmann/json.hpp>

namespace strata::instance {
namespace {

using nlohmann::json;

constexpr auto columns = "id, name, settings, created";

std::string settings_of(const Network& network) {
    return json{{"device", network.device},
                {"subnet", text_of(network.subnet)},
                {"gateway", text_of(network.gateway)},
                {"last", text_of(network.last_given)},
                {"subnet6", text_of(network.subnet6)},
                {"internal", network.internal},
                {"chosen", network.is_chosen},
                {"labels", network.labels}}
        .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Network> read_network(Statement& row) {
    Network network{.id = row.text(), .name = row.text()};
    const auto settings = json::parse(row.text(), nullptr, false);
    network.created = row.number();
    const auto text = [&](const char* key) { return settings.value(key, std::string()); };
    try {
        network.device = text("device");
        const auto subnet = parse_subnet(text("subnet"));
        const auto gateway = parse_address(text("gateway"));
        const auto subnet6 =
            text("subnet6").empty() ? Result<Subnet6>(Subnet6{}) : parse_subnet6(text("subnet6"));
        if (subnet && gateway && subnet6) {
            network.subnet = *subnet;
            network.gateway = *gateway;
            network.last_given = parse_address(text("last")).value_or(0);
            network.subnet6 = *subnet6;
            network.internal = settings.value("internal", false);
            network.is_chosen = settings.value("chosen", false);
            network.labels = settings.value("labels", network.labels);
            return network;
        }
    } catch (const json::exception&) { // said below
    }
    return fail(fmt::format("the settings of network {} are damaged", network.name));
}

Result<void> check_name(const std::string& name) {
    const auto is_letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
    constexpr const char* taken[] = {"bridge", "host", "none", "user", "default", "container"};
    if (std::ranges::find(taken, name) != std::end(taken)) {
        return fail(fmt::format("a network cannot be called '{}': the name has a meaning of its own", name));
    }
    if (name.empty() || !is_letter(name.front()) || !std::ranges::all_of(name, [&](char c) {
            return is_letter(c) || c == '_' || c == '.' || c == '-';
        })) {
        return fail(fmt::format("'{}' is no name for a network", name),
                    "use letters, digits, '_', '.' and '-', the first a letter or a digit");
    }
    return {};
}

// Of other networks of this state, which may be without a bridge at the moment.
Result<std::vector<Subnet>> subnets_of_others(const Instances& instances, const std::string& id) {
    const auto all = list_networks(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    std::vector<Subnet> subnets;
    for (const auto& other : *all) {
        if (other.id != id) {
            subnets.push_back(other.subnet);
        }
    }
    return subnets;
}

Result<void> choose_subnet(const Instances& instances, const NetworkRequest& request, Network& network) {
    const auto others = subnets_of_others(instances, network.id);
    const auto netlink = Netlink::open(NETLINK_ROUTE);
    if (!others || !netlink) {
        return std::unexpected(others ? netlink.error() : others.error());
    }
    auto used = netlink->used_subnets(0);
    if (!used) {
        return std::unexpected(used.error());
    }
    used->insert(used->end(), others->begin(), others->end());
    network.is_chosen = request.subnet.empty();
    const auto subnet =
        network.is_chosen ? free_subnet(*used, network.is_default()) : parse_subnet(request.subnet);
    if (!subnet) {
        return std::unexpected(subnet.error());
    }
    network.subnet = *subnet;
    const auto taken =
        std::ranges::find_if(*used, [&](const Subnet& other) { return overlap(*subnet, other); });
    if (taken != used->end()) {
        return fail(
            fmt::format("subnet {} overlaps {}, which this host uses", text_of(*subnet), text_of(*taken)),
            "choose another, or let Strata choose: leave --subnet out");
    }
    const auto gateway =
        request.gateway.empty() ? Result<Address>(subnet->base + 1) : parse_address(request.gateway);
    if (!gateway) {
        return std::unexpected(gateway.error());
    }
    if (!subnet->has(*gateway) || *gateway == subnet->base || *gateway == subnet->last()) {
        return fail(fmt::format("gateway {} is not an address of {}", text_of(*gateway), text_of(*subnet)));
    }
    network.gateway = *gateway;
    return {};
}

// A unique local network (RFC 4193) with a part of the network's ID.
Subnet6 random_subnet6(const Network& network) {
    Subnet6 subnet{.base = {0xFD, 's', 't', 'r', 'a', 't'}, .prefix = 64};
    const auto part = std::stoul(network.id.substr(0, 4), nullptr, 16);
    subnet.base[6] = static_cast<std::uint8_t>(part >> 8);
    subnet.base[7] = static_cast<std::uint8_t>(part);
    return subnet;
}

Result<Network> make(const Instances& instances, const NetworkRequest& request, bool is_default) {
    Network network{.id = random_id(),
                    .name = request.name,
                    .internal = request.internal,
                    .labels = request.labels,
                    .created = std::time(nullptr)};
    if (!request.subnet6.empty()) {
        const auto subnet6 = parse_subnet6(request.subnet6);
        if (!subnet6) {
            return std::unexpected(subnet6.error());
        }
        network.subnet6 = *subnet6;
    } else if (request.ipv6) {
        network.subnet6 = random_subnet6(network);
    }
    const auto made = instances.database().transaction([&]() -> Result<void> {
        auto known =
            instances.database().prepare(fmt::format("SELECT {} FROM networks WHERE name = ?", columns));
        auto same = known.bind(network.name).all(read_network);
        if (!same) {
            return std::unexpected(same.error());
        }
        if (!same->empty() && is_default) { // another process was quicker
            network = std::move(same->front());
            return {};
        }
        if (!same->empty()) {
            return fail(fmt::format("there is a network '{}'", network.name), "strata network ls lists them");
        }
        if (auto chosen = choose_subnet(instances, request, network); !chosen) {
            return chosen;
        }
        return instances.database()
            .prepare(fmt::format("INSERT INTO networks ({}) VALUES (?, ?, ?, ?)", columns))
            .bind(network.id)
            .bind(network.name)
            .bind(settings_of(network))
            .bind(network.created)
            .run();
    });
    return made ? Result<Network>(std::move(network)) : std::unexpected(made.error());
}

} // namespace

bool is_bridged(const std::string& network) {
    return network != "none" && network != "host" && network != "user" && !network.starts_with("container:");
}

Result<Network> create_network(const Instances& instances, const NetworkRequest& request) {
    if (auto good = check_name(request.name); !good) {
        return std::unexpected(good.error());
    }
    auto made = make(instances, request, false);
    if (made) {
        record_network_event(instances.database(), made->id, "create", {{"name", made->name}});
    }
    return made;
}

Result<Network> find_network(const Instances& instances, const std::string& text) {
    auto rows = instances.database().prepare(
        fmt::format("SELECT {} FROM networks WHERE name = ? OR substr(id, 1, ?) = ?", columns));
    auto found = rows.bind(text).bind(static_cast<std::int64_t>(text.size())).bind(text).all(read_network);
    if (!found) {
        return std::unexpected(found.error());
    }
    const auto named = std::ranges::find(*found, text, &Network::name);
    if (named != found->end()) {
        return std::move(*named);
    }
    if (text == default_network) {
        return make(instances, {.name = default_network, .ipv6 = true}, true);
    }
    if (found->empty() || text.empty()) {
        return std::unexpected(
            Error{fmt::format("there is no network '{}'", text), "strata network ls lists them", ENOENT});
    }
    return found->size() == 1
               ? Result<Network>(std::move(found->front()))
               : fail(fmt::format("more than one network's ID begins with '{}'", text), "write more of it");
}

Result<std::vector<Network>> list_networks(const Instances& instances) {
    auto rows = instances.database().prepare(fmt::format("SELECT {} FROM networks ORDER BY rowid", columns));
    return rows.all(read_network);
}

Result<void> save_network(const Instances& instances, const Network& network) {
    return instances.database()
        .prepare("UPDATE networks SET settings = ? WHERE id = ?")
        .bind(settings_of(network))
        .bind(network.id)
        .run();
}

Result<void> remove_network(const Instances& instances, const Network& network) {
    if (network.is_default()) {
        return fail("the network 'bridge' is there for good: containers have it by default");
    }
    const auto removed = instances.database().transaction([&]() -> Result<void> {
        const auto endpoints = endpoints_in(instances, network);
        if (!endpoints) {
            return std::unexpected(endpoints.error());
        }
        const auto active =
            std::ranges::find_if(*endpoints, [](const Endpoint& endpoint) { return endpoint.address != 0; });
        if (active != endpoints->end()) {
            const auto user = instances.find(active->instance);
            return fail(fmt::format("network '{}' is used by container {}", network.name,
                                    user ? user->name : active->instance),
                        "strata network disconnect takes it off");
        }
        const auto forgotten =
            instances.database().prepare("DELETE FROM endpoints WHERE network = ?").bind(network.id).run();
        if (!forgotten) {
            return forgotten;
        }
        return instances.database().prepare("DELETE FROM networks WHERE id = ?").bind(network.id).run();
    });
    if (removed) {
        record_network_event(instances.database(), network.id, "destroy", {{"name", network.name}});
    }
    return removed;
}

} // namespace strata::instance
