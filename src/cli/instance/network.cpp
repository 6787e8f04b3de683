// strata network: networks of containers, in which they find each other by name.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"
#include "cli/instance/describe.hpp"
#include "cli/table.hpp"
#include "cli/template.hpp"

#include "base/error.hpp"
#include "instance/network/bridge.hpp"
#include "instance/network/networks.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::cli {
namespace {

using instance::Network;
using instance::text_of;
using nlohmann::json;

struct Create {
    instance::NetworkRequest request;
    std::vector<std::string> labels, subnets, gateways;
    std::string driver{"bridge"};
};

void define_create_network(CLI::App& command, Create& options) {
    command.add_option("NETWORK", options.request.name, "Name")->required();
    command.add_option("--subnet", options.subnets, "Subnet, of IPv4 or IPv6; may be repeated")
        ->type_name("ADDRESS/PREFIX")
        ->allow_extra_args(false);
    command.add_option("--gateway", options.gateways, "The host's address on it (the first)")
        ->type_name("ADDRESS")
        ->allow_extra_args(false);
    command.add_flag("--internal", options.request.internal, "Nothing leads out of it");
    command.add_flag("--ipv6", options.request.ipv6, "With addresses of IPv6, too");
    command.add_option("--label", options.labels, "Label")->type_name("KEY[=VALUE]")->allow_extra_args(false);
    command.add_option("-d,--driver", options.driver, "Its kind")->type_name("bridge");
    command.footer("Examples:\n  strata network create web\n  strata network create --subnet 10.20.30.0/24 "
                   "--internal db");
}

Result<int> create(const instance::Instances& instances, Create& options) {
    if (options.driver != "bridge") {
        return fail(fmt::format("there is no network driver '{}'", options.driver), "use bridge");
    }
    auto& request = options.request;
    for (const auto& subnet : options.subnets) {
        (subnet.find(':') == std::string::npos ? request.subnet : request.subnet6) = subnet;
    }
    for (const auto& gateway : options.gateways) {
        if (gateway.find(':') != std::string::npos) {
            return fail("the gateway of IPv6 is not to be chosen: it follows from the one of IPv4");
        }
        request.gateway = gateway;
    }
    for (const auto& label : options.labels) {
        const auto equals = label.find('=');
        request.labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
    }
    const auto made = instance::create_network(instances, request);
    if (!made) {
        return std::unexpected(made.error());
    }
    fmt::print("{}\n", made->id);
    return success;
}

struct List {
    bool quiet = false, full = false;
    std::string format;
};

void define_list(CLI::App& command, List& options) {
    command.add_flag("-q,--quiet", options.quiet, "Only the IDs");
    command.add_flag("--no-trunc", options.full, "IDs at full length");
    command.add_option("--format", options.format, "json, or a template as in '{{.Name}}'")
        ->type_name("FORMAT");
    command.footer("Example:\n  strata network ls");
}

// The default one is there, needed or not.
Result<std::vector<Network>> all_networks(const instance::Instances& instances) {
    if (const auto usual = instance::find_network(instances, instance::default_network); !usual) {
        return std::unexpected(usual.error());
    }
    return instance::list_networks(instances);
}

Result<int> list(const instance::Instances& instances, List& options) {
    const auto all = all_networks(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    Table table({"NETWORK ID", "NAME", "DRIVER", "SUBNET"});
    for (const auto& network : *all) {
        const auto id = options.full ? network.id : network.id.substr(0, 12);
        const json fields{{"ID", id},
                          {"Name", network.name},
                          {"Driver", "bridge"},
                          {"Scope", "local"},
                          {"Subnet", text_of(network.subnet)},
                          {"Internal", network.internal},
                          {"IPv6", static_cast<bool>(network.subnet6)}};
        if (options.quiet) {
            fmt::print("{}\n", id);
        } else if (options.format.empty()) {
            table.add({id, network.name, "bridge", text_of(network.subnet)});
        } else {
            const auto line = options.format == "json" ? Result<std::string>(fields.dump())
                                                       : render(options.format, fields);
            if (!line) {
                return std::unexpected(line.error());
            }
            fmt::print("{}\n", *line);
        }
    }
    if (!options.quiet && options.format.empty()) {
        table.print();
    }
    return success;
}

struct Names {
    std::vector<std::string> names;
    std::string format;
};

void define_names(CLI::App& command, Names& options) {
    command.add_option("NETWORK", options.names, "Name, ID, or the beginning of an ID")->required();
    command.footer("Example:\n  strata network " + command.get_name() + " web");
}

void define_inspect(CLI::App& command, Names& options) {
    define_names(command, options);
    command.add_option("-f,--format", options.format, "json, or a template as in '{{.Id}}'")
        ->type_name("FORMAT");
}

// As Docker's client writes it.
Result<json> describe(const instance::Instances& instances, const Network& network) {
    const auto endpoints = instance::endpoints_in(instances, network);
    if (!endpoints) {
        return std::unexpected(endpoints.error());
    }
    json containers = json::object();
    for (const auto& endpoint : *endpoints) {
        const auto found = endpoint.address != 0 ? instances.find(endpoint.instance) : fail("");
        if (found && found->alive()) {
            const auto six =
                network.subnet6 ? fmt::format("{}/{}", text_of(address_in(network.subnet6, endpoint.address)),
                                              network.subnet6.prefix)
                                : "";
            containers[found->id] = {
                {"Name", found->name},
                {"IPv4Address", fmt::format("{}/{}", text_of(endpoint.address), network.subnet.prefix)},
                {"IPv6Address", six}};
        }
    }
    json subnets{{{"Subnet", text_of(network.subnet)}, {"Gateway", text_of(network.gateway)}}};
    if (network.subnet6) {
        subnets.push_back({{"Subnet", text_of(network.subnet6)},
                           {"Gateway", text_of(address_in(network.subnet6, network.gateway))}});
    }
    return json{{"Name", network.name},
                {"Id", network.id},
                {"Created", time_text(network.created)},
                {"Scope", "local"},
                {"Driver", "bridge"},
                {"EnableIPv6", static_cast<bool>(network.subnet6)},
                {"IPAM", {{"Driver", "default"}, {"Config", subnets}}},
                {"Internal", network.internal},
                {"Containers", containers},
                {"Options", {{"com.docker.network.bridge.name", network.device}}},
                {"Labels", network.labels}};
}

Result<int> inspect(const instance::Instances& instances, Names& options) {
    auto all = json::array();
    for (const auto& name : options.names) {
        const auto network = instance::find_network(instances, name);
        auto one = network ? describe(instances, *network) : Result<json>(std::unexpected(network.error()));
        if (!one) {
            return std::unexpected(one.error());
        }
        all.push_back(std::move(*one));
    }
    if (options.format.empty() || options.format == "json") {
        fmt::print("{}\n", all.dump(options.format.empty() ? 4 : -1));
        return success;
    }
    for (const auto& one : all) {
        const auto line = render(options.format, one);
        if (!line) {
            return std::unexpected(line.error());
        }
        fmt::print("{}\n", *line);
    }
    return success;
}

Result<int> remove(const instance::Instances& instances, Names& options) {
    int status = success;
    for (const auto& name : options.names) {
        const auto network = instance::find_network(instances, name);
        const auto removed = network ? instance::remove_with_bridge(instances, *network)
                                     : Result<void>(std::unexpected(network.error()));
        if (removed) {
            fmt::print("{}\n", name);
        } else {
            status = report(removed.error(), failure);
        }
    }
    return status;
}

struct Prune {
    bool force = false;
};

void define_prune(CLI::App& command, Prune& options) {
    command.add_flag("-f,--force", options.force, "Read as Docker's; nothing is asked");
    command.footer("Example:\n  strata network prune");
}

Result<int> prune(const instance::Instances& instances, Prune& /*options*/) {
    const auto all = instance::list_networks(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    for (const auto& network : *all) {
        if (instance::remove_with_bridge(instances,
                                         network)) { // refused where a container that runs is in it
            fmt::print("{}\n", network.name);
        }
    }
    const auto pruned =
        instance::prune_bridges(instances); // of those that stay, and of states that are no more
    return pruned ? Result<int>(success) : std::unexpected(pruned.error());
}

struct Membership {
    std::string network, container, address;
    std::vector<std::string> aliases;
    bool force = false;
};

void define_members(CLI::App& command, Membership& options) {
    command.add_option("NETWORK", options.network, "Name or ID")->required();
    command.add_option("CONTAINER", options.container, "Name or ID")->required();
    command.footer("Example:\n  strata network " + command.get_name() + " web db");
}

void define_connect(CLI::App& command, Membership& options) {
    define_members(command, options);
    command.add_option("--alias", options.aliases, "Another name of it there; may be repeated")
        ->type_name("NAME")
        ->allow_extra_args(false);
    command.add_option("--ip", options.address, "Its address there")->type_name("ADDRESS");
}

void define_disconnect(CLI::App& command, Membership& options) {
    define_members(command, options);
    command.add_flag("-f,--force", options.force, "Read as Docker's; it is always done at once");
}

Result<int> connect(const instance::Instances& instances, Membership& options) {
    const auto network = instance::find_network(instances, options.network);
    if (!network) {
        return std::unexpected(network.error());
    }
    const auto container = find_container(instances, options.container);
    if (!container) {
        return std::unexpected(container.error());
    }
    instance::Endpoint endpoint{.aliases = options.aliases};
    if (auto good = instance::check_endpoint(*network, options.aliases, options.address); !good) {
        return std::unexpected(good.error());
    }
    if (!options.address.empty()) {
        endpoint.wanted = *instance::parse_address(options.address);
    }
    const auto done = instance::add_to_network(instances, *container, *network, std::move(endpoint));
    return done ? Result<int>(success) : std::unexpected(done.error());
}

Result<int> disconnect(const instance::Instances& instances, Membership& options) {
    const auto network = instance::find_network(instances, options.network);
    if (!network) {
        return std::unexpected(network.error());
    }
    const auto container = find_container(instances, options.container);
    const auto done = container ? instance::take_off_network(instances, *container, *network)
                                : Result<void>(std::unexpected(container.error()));
    return done ? Result<int>(success) : std::unexpected(done.error());
}

} // namespace

void add_network(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("network", "Networks, in which containers find each other by name");
    command->require_subcommand(1);
    command->footer(
        "Example:\n  strata network create web\n  strata run -d --network web --name db postgres\n"
        "  strata run --rm --network web debian:12 getent hosts db");
    add_instance_command<Create>(*command, outcome, "create", "Make a network", define_create_network,
                                 create);
    add_instance_command<List>(*command, outcome, "ls", "List networks", define_list, list);
    add_instance_command<Names>(*command, outcome, "inspect", "Show all that is known of networks",
                                define_inspect, inspect);
    add_instance_command<Membership>(*command, outcome, "connect", "Connect a container to a network",
                                     define_connect, connect);
    add_instance_command<Membership>(*command, outcome, "disconnect", "Take a container off a network",
                                     define_disconnect, disconnect);
    add_instance_command<Names>(*command, outcome, "rm", "Remove networks", define_names, remove);
    add_instance_command<Prune>(*command, outcome, "prune",
                                "Remove networks that no container which runs is in", define_prune, prune);
}

} // namespace strata::cli
