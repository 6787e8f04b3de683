// The containers' places in networks; see networks.hpp.
#include "instance/network/networks.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::instance {
namespace {

constexpr auto columns = "network, instance, aliases, wanted, address, device";

Result<Endpoint> read_endpoint(Statement& row) {
    Endpoint endpoint{.network = row.text(), .instance = row.text()};
    const auto aliases = nlohmann::json::parse(row.text(), nullptr, false);
    for (const auto& alias : aliases) {
        endpoint.aliases.push_back(alias.is_string() ? alias.get<std::string>() : "");
    }
    endpoint.wanted = static_cast<Address>(row.number());
    endpoint.address = static_cast<Address>(row.number());
    endpoint.device = row.text();
    return endpoint;
}

// Going round from the last one that was given; 0 when there is none.
Address next_free(const Network& network, const std::vector<Endpoint>& others) {
    std::vector<Address> taken{network.gateway};
    for (const auto& other : others) {
        taken.push_back(other.address);
        taken.push_back(other.wanted);
    }
    std::ranges::sort(taken);
    const auto first = network.subnet.base + 1, end = network.subnet.last();
    auto address = network.last_given;
    for (auto left = end - first; left > 0; --left) {
        address = address < first || address + 1 >= end ? first : address + 1;
        if (!std::ranges::binary_search(taken, address)) {
            return address;
        }
    }
    return 0;
}

} // namespace

Result<std::vector<Endpoint>> endpoints_of(const Instances& instances, const Instance& instance) {
    auto rows = instances.database().prepare(
        fmt::format("SELECT {} FROM endpoints WHERE instance = ? ORDER BY rowid", columns));
    return rows.bind(instance.id).all(read_endpoint);
}

Result<std::vector<Endpoint>> endpoints_in(const Instances& instances, const Network& network) {
    auto rows = instances.database().prepare(
        fmt::format("SELECT {} FROM endpoints WHERE network = ? ORDER BY rowid", columns));
    return rows.bind(network.id).all(read_endpoint);
}

Result<void> check_endpoint(const Network& network, const std::vector<std::string>& aliases,
                            const std::string& address) {
    if (network.is_default() && (!aliases.empty() || !address.empty())) {
        return fail("names and addresses are chosen in networks of one's own, not in 'bridge'",
                    "make one: strata network create NAME");
    }
    for (const auto& alias : aliases) {
        constexpr std::size_t longest_name = 253;
        if (alias.empty() || alias.size() > longest_name ||
            alias.find_first_of(" \t\n/") != std::string::npos) {
            return fail(fmt::format("'{}' is no name for a host", alias));
        }
    }
    if (address.empty()) {
        return {};
    }
    const auto wanted = parse_address(address);
    if (!wanted) {
        return std::unexpected(wanted.error());
    }
    const auto& subnet = network.subnet;
    if (!subnet.has(*wanted) || *wanted == subnet.base || *wanted == subnet.last() ||
        *wanted == network.gateway) {
        return fail(fmt::format("{} is no address for a container in {}", address, text_of(subnet)));
    }
    return {};
}

Result<void> save_endpoint(const Instances& instances, const Endpoint& endpoint) {
    return instances.database()
        .prepare(fmt::format("INSERT INTO endpoints ({}) VALUES (?, ?, ?, ?, ?, ?) "
                             "ON CONFLICT (network, instance) DO UPDATE SET aliases = excluded.aliases, "
                             "wanted = excluded.wanted, address = excluded.address, device = excluded.device",
                             columns))
        .bind(endpoint.network)
        .bind(endpoint.instance)
        .bind(nlohmann::json(endpoint.aliases).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
        .bind(static_cast<std::int64_t>(endpoint.wanted))
        .bind(static_cast<std::int64_t>(endpoint.address))
        .bind(endpoint.device)
        .run();
}

Result<void> remove_endpoint(const Instances& instances, const Endpoint& endpoint) {
    return instances.database()
        .prepare("DELETE FROM endpoints WHERE network = ? AND instance = ?")
        .bind(endpoint.network)
        .bind(endpoint.instance)
        .run();
}

Result<Endpoint> take_address(const Instances& instances, const Network& network, Endpoint endpoint) {
    const auto done = instances.database().transaction([&]() -> Result<void> {
        auto others = endpoints_in(instances, network);
        if (!others) {
            return std::unexpected(others.error());
        }
        std::erase_if(*others, [&](const Endpoint& other) { return other.instance == endpoint.instance; });
        const auto has_it = [&](const Endpoint& other) { return other.address == endpoint.wanted; };
        if (endpoint.wanted != 0 && std::ranges::any_of(*others, has_it)) {
            return fail(fmt::format("address {} is another container's", text_of(endpoint.wanted)));
        }
        auto current = find_network(instances, network.id);
        if (!current) {
            return std::unexpected(current.error());
        }
        if (endpoint.wanted != 0) {
            endpoint.address = endpoint.wanted;
            return save_endpoint(instances, endpoint);
        }
        endpoint.address = current->last_given = next_free(*current, *others);
        if (endpoint.address == 0) {
            return fail(fmt::format("network '{}' has no free address", network.name),
                        "remove containers that nobody needs");
        }
        const auto saved = save_network(instances, *current);
        return saved ? save_endpoint(instances, endpoint) : saved;
    });
    return done ? Result<Endpoint>(std::move(endpoint)) : std::unexpected(done.error());
}

} // namespace strata::instance
