// strata ps, top and port: what runs, and what runs in it.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"
#include "cli/instance/describe.hpp"
#include "cli/table.hpp"
#include "cli/template.hpp"

#include "base/error.hpp"
#include "instance/health.hpp"
#include "instance/process_table.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::cli {
namespace {

using instance::Instance;
using instance::Status;

struct Options {
    bool all = false, quiet = false, full = false, latest = false;
    std::vector<std::string> filters;
    std::string format;
};

void define(CLI::App& command, Options& options) {
    command.add_flag("-a,--all", options.all, "Also those that do not run");
    command.add_flag("-q,--quiet", options.quiet, "Only the IDs");
    command.add_flag("-l,--latest", options.latest, "Only the newest, running or not");
    command.add_flag("--no-trunc", options.full, "Whole IDs and commands");
    command.add_option("-f,--filter", options.filters, "Only those that fit; may be repeated")
        ->type_name(
            "name=TEXT|id=TEXT|status=STATUS|health=HEALTH|label=KEY[=VALUE]|ancestor=IMAGE|exited=CODE")
        ->allow_extra_args(false);
    command.add_option("--format", options.format, "json, or a template as in '{{.ID}} {{.Names}}'")
        ->type_name("FORMAT");
    command.footer("Examples:\n  strata ps -a\n  strata ps -q --filter label=team=web\n"
                   "  strata ps --format '{{.Names}}: {{.Status}}'");
}

// " (healthy)"; nothing for one that has no health check.
std::string health_text(const instance::Instances& instances, const Instance& instance) {
    const bool checked = !instance.settings.health.test.empty();
    const auto health = checked ? instance::read_health(instances.database(), instance.id) : std::nullopt;
    if (!health) {
        return "";
    }
    return health->status == "starting" ? " (health: starting)" : " (" + health->status + ")";
}

std::string status_text(const instance::Instances& instances, const Instance& instance) {
    const auto age = [](std::int64_t since) {
        auto text = human_age(time_text(since));
        return text.ends_with(" ago") ? text.substr(0, text.size() - 4) : text;
    };
    switch (instance.status) {
    case Status::created: return "Created";
    case Status::running: return "Up " + age(instance.started) + health_text(instances, instance);
    case Status::paused: return "Up " + age(instance.started) + " (Paused)";
    case Status::exited: break;
    }
    return fmt::format("Exited ({}) {} ago", instance.exit_code, age(instance.finished));
}

std::string command_text(const Instance& instance, bool full) {
    std::string text;
    for (const auto* list : {&instance.settings.entrypoint, &instance.settings.command}) {
        for (const auto& word : *list) {
            text += (text.empty() ? "" : " ") + word;
        }
    }
    constexpr std::size_t shown = 20;
    return "\"" + (full || text.size() <= shown ? text : text.substr(0, shown - 1) + "…") + "\"";
}

std::string ports_text(const Instance& instance) {
    std::string text;
    for (const auto& port : instance.settings.ports) {
        text += fmt::format("{}{}:{}->{}/{}", text.empty() ? "" : ", ",
                            port.host_address.empty() ? "0.0.0.0" : port.host_address, port.host,
                            port.container, port.protocol);
    }
    return instance.alive() ? text : "";
}

Result<bool> passes(const instance::Instances& instances, const Instance& instance,
                    const std::string& filter) {
    const auto equals = filter.find('=');
    const auto key = filter.substr(0, equals);
    const auto value = equals == std::string::npos ? std::string{} : filter.substr(equals + 1);
    if (key == "name") {
        return instance.name.find(value) != std::string::npos;
    }
    if (key == "id") {
        return instance.id.starts_with(value);
    }
    if (key == "status") {
        return value == instance::name_of(instance.status);
    }
    if (key == "health") {
        const auto health = instance::read_health(instances.database(), instance.id);
        return (health && !instance.settings.health.test.empty() ? health->status : "none") == value;
    }
    if (key == "exited") {
        return instance.status == Status::exited && std::to_string(instance.exit_code) == value;
    }
    if (key == "ancestor") {
        return instance.settings.image == value ||
               instance.settings.image_id.find(value) != std::string::npos;
    }
    if (key == "label") {
        const auto split = value.find('=');
        const auto found = instance.settings.labels.find(value.substr(0, split));
        return found != instance.settings.labels.end() &&
               (split == std::string::npos || found->second == value.substr(split + 1));
    }
    return fail(fmt::format("filter '{}' is not known", filter),
                "use name=, id=, status=, health=, label=, ancestor= or exited=");
}

nlohmann::json fields_of(const instance::Instances& instances, const Instance& instance,
                         const Options& options) {
    std::string labels;
    for (const auto& [key, value] : instance.settings.labels) {
        labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", key, value);
    }
    return {{"ID", options.full ? instance.id : instance.short_id()},
            {"Image", instance.settings.rootfs.empty() ? instance.settings.image : instance.settings.rootfs},
            {"Command", command_text(instance, options.full)},
            {"RunningFor", human_age(time_text(instance.created))},
            {"CreatedAt", time_text(instance.created)},
            {"Status", status_text(instances, instance)},
            {"State", instance::name_of(instance.status)},
            {"Ports", ports_text(instance)},
            {"Names", instance.name},
            {"Networks", instance.settings.network},
            {"Labels", labels}};
}

Result<int> list(const instance::Instances& instances, Options& options) {
    auto all = list_containers(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    const bool any_status =
        options.all || options.latest || std::ranges::any_of(options.filters, [](const auto& filter) {
            return filter.starts_with("status=") || filter.starts_with("exited=");
        });
    Table table({"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"});
    bool is_table = options.format.empty() && !options.quiet;
    for (const auto& instance : *all) {
        bool wanted = any_status || instance.alive();
        for (const auto& filter : options.filters) {
            const auto passed = passes(instances, instance, filter);
            if (!passed) {
                return std::unexpected(passed.error());
            }
            wanted = wanted && *passed;
        }
        if (!wanted) {
            continue;
        }
        const auto fields = fields_of(instances, instance, options);
        const auto text = [&](const char* name) { return fields[name].get<std::string>(); };
        if (options.quiet) {
            fmt::print("{}\n", text("ID"));
        } else if (is_table) {
            table.add({text("ID"), text("Image"), text("Command"), text("RunningFor"), text("Status"),
                       text("Ports"), text("Names")});
        } else {
            const auto line = render(options.format == "json" ? "{{json .}}" : options.format, fields);
            if (!line) {
                return std::unexpected(line.error());
            }
            fmt::print("{}\n", *line);
        }
        if (options.latest) {
            break;
        }
    }
    if (is_table) {
        table.print();
    }
    return success;
}

struct Named {
    std::string name;
};

void define_named(CLI::App& command, Named& options) {
    command.add_option("CONTAINER", options.name, "Name or ID")->required();
    command.footer("Example:\n  strata " + command.get_name() + " web");
}

Result<int> top(const instance::Instances& instances, Named& options) {
    const auto found = find_container(instances, options.name);
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!found->alive()) {
        return fail(fmt::format("container {} does not run", found->name), "strata start starts it");
    }
    Table table({"UID", "PID", "PPID", "CMD"});
    for (const auto& process : instance::processes_beside(found->pid)) {
        table.add({std::to_string(process.uid), std::to_string(process.pid), std::to_string(process.parent),
                   process.command});
    }
    table.print();
    return success;
}

Result<int> port(const instance::Instances& instances, Named& options) {
    const auto found = find_container(instances, options.name);
    if (!found) {
        return std::unexpected(found.error());
    }
    for (const auto& each : found->settings.ports) {
        fmt::print("{}/{} -> {}:{}\n", each.container, each.protocol,
                   each.host_address.empty() ? "0.0.0.0" : each.host_address, each.host);
    }
    return success;
}

} // namespace

void add_ps(CLI::App& root, Outcome& outcome) {
    add_instance_command<Options>(root, outcome, "ps", "List containers", define, list);
    add_instance_command<Named>(root, outcome, "top", "List the processes of a container", define_named, top);
    add_instance_command<Named>(root, outcome, "port", "List the published ports of a container",
                                define_named, port);
}

} // namespace strata::cli
