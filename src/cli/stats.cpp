// strata stats: what containers use, and what a virtual machine has done.
#include "cli/commands.hpp"
#include "cli/instance/context.hpp"
#include "cli/machine_stats.hpp"
#include "cli/table.hpp"
#include "cli/template.hpp"
#include "vm/control/client.hpp"

#include "base/error.hpp"
#include "instance/usage.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

namespace strata::cli {
namespace {

using instance::Instance;
using instance::Usage;

constexpr auto interval = std::chrono::seconds(1);

struct Options {
    std::vector<std::string> names;
    bool all = false, once = false, full = false;
    std::string format;
    Places places;
};

void define(CLI::App& command, Options& options) {
    command.add_option("NAME", options.names, "Containers, or one virtual machine's --name");
    command.add_flag("-a,--all", options.all, "Also containers that do not run");
    command.add_flag("--no-stream", options.once, "Once, not until interrupted");
    command.add_flag("--no-trunc", options.full, "Whole IDs");
    command.add_option("--format", options.format, "json, or a template as in '{{.Name}} {{.CPUPerc}}'")
        ->type_name("FORMAT");
    define_places(command, options.places);
    command.footer(
        "Of containers (all that run, if none is named): the processor time of the last second, 100% being "
        "one processor, memory, and what came and went by network and block devices.\n\n"
        "Of a machine: how often each virtual processor came out of the guest since the machine was started, "
        "and why, for engines that have a border to cross: KVM; for the translator, what it has translated "
        "and what it left to the interpreter.\n\n"
        "Examples:\n  strata stats\n  strata stats --no-stream --format '{{.Name}}: {{.MemUsage}}' web");
}

// 4345298 as "4.14MiB".
std::string binary_size(std::uint64_t bytes) {
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < units.size(); ++unit) {
        value /= 1024;
    }
    return fmt::format("{:.4g}{}", value, units[unit]);
}

// The fields of Docker's client.
nlohmann::json fields_of(const Instance& instance, const Usage& before, const Usage& after, bool full) {
    const auto pair = [](const std::string& one, const std::string& other) { return one + " / " + other; };
    const auto share = after.memory_limit == 0 ? 0
                                               : 100 * static_cast<double>(after.memory) /
                                                     static_cast<double>(after.memory_limit);
    const auto id = full ? instance.id : instance.short_id();
    return {{"ID", id},
            {"Container", id},
            {"Name", instance.name},
            {"CPUPerc", fmt::format("{:.2f}%", instance::cpu_percent(before, after))},
            {"MemUsage", pair(binary_size(after.memory), binary_size(after.memory_limit))},
            {"MemPerc", fmt::format("{:.2f}%", share)},
            {"NetIO", pair(human_size(after.received), human_size(after.sent))},
            {"BlockIO", pair(human_size(after.read), human_size(after.written))},
            {"PIDs", std::to_string(after.processes)}};
}

class Observer {
public:
    Observer(const instance::Instances& instances, const Options& options)
        : instances_(instances), options_(options) {}

    Result<void> observe() {
        if (auto first = look(); !first) {
            return std::unexpected(first.error());
        }
        do {
            const auto before = std::exchange(usage_, {});
            std::this_thread::sleep_for(interval);
            const auto seen = look();
            const auto shown = seen ? show(*seen, before) : std::unexpected(seen.error());
            if (!shown) {
                return shown;
            }
        } while (!options_.once);
        return {};
    }

private:
    [[nodiscard]] Result<std::vector<Instance>> wanted() const {
        if (options_.names.empty()) {
            return list_containers(instances_);
        }
        std::vector<Instance> found;
        for (const auto& name : options_.names) {
            auto one = find_container(instances_, name);
            if (!one) {
                return std::unexpected(one.error());
            }
            found.push_back(std::move(*one));
        }
        return found;
    }

    Result<std::vector<Instance>> look() {
        auto all = wanted();
        if (!all) {
            return all;
        }
        std::erase_if(*all, [&](const Instance& instance) {
            return !instance.alive() && !options_.all && options_.names.empty();
        });
        for (const auto& instance : *all) {
            if (const auto usage = instance.alive() ? instance::usage_of(instances_, instance) : Usage{}) {
                usage_[instance.id] = *usage; // else it ended meanwhile
            }
        }
        return all;
    }

    Result<void> show(const std::vector<Instance>& seen, const std::map<std::string, Usage>& before) {
        Table table(
            {"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"});
        for (const auto& instance : seen) {
            const auto& after = usage_[instance.id];
            const auto earlier = before.find(instance.id);
            const auto fields =
                fields_of(instance, earlier != before.end() ? earlier->second : after, after, options_.full);
            if (options_.format.empty()) {
                std::vector<std::string> row;
                for (const char* name :
                     {"ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"}) {
                    row.push_back(fields[name]);
                }
                table.add(std::move(row));
                continue;
            }
            const auto line = render(options_.format == "json" ? "{{json .}}" : options_.format, fields);
            if (!line) {
                return std::unexpected(line.error());
            }
            fmt::print("{}\n", *line);
        }
        if (options_.format.empty()) {
            if (!options_.once) {
                fmt::print("\033[H\033[J"); // in the place of what was there
            }
            table.print();
        }
        std::fflush(stdout);
        return {};
    }

    const instance::Instances& instances_;
    const Options& options_;
    std::map<std::string, Usage> usage_{};
};

// The machine that is meant, if one of this name runs, and else why not.
int stats(const Options& options) {
    const auto machine = options.names.size() == 1
                             ? vm::control::exits(options.names.front())
                             : Result<std::vector<vm::ExitsByEngine>>(fail("no machine"));
    if (machine) {
        show_machine_stats(*machine);
        return success;
    }
    const bool alone = options.names.size() == 1;
    if (alone && !std::filesystem::exists(options.places.directory + "/state.db")) {
        return report(machine.error(), failure); // there are no containers either
    }
    const auto instances = open_instances(options.places);
    if (!instances) {
        return report(instances.error(), failure);
    }
    if (alone && !find_container(*instances, options.names.front())) {
        return report(machine.error(), failure);
    }
    const auto observed = Observer(*instances, options).observe();
    return observed ? success : report(observed.error(), failure);
}

} // namespace

void add_stats(CLI::App& root, Outcome& outcome) {
    auto* command =
        root.add_subcommand("stats", "Show what containers use, or what a virtual machine has done");
    auto options = std::make_shared<Options>();
    define(*command, *options);
    command->callback([options, &outcome] { outcome.status = stats(*options); });
}

} // namespace strata::cli
