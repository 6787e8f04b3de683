// strata update: changes the limits of containers, also while they run.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"
#include "cli/instance/create_options.hpp"

#include "base/error.hpp"
#include "instance/bundle.hpp"
#include "instance/events.hpp"
#include "instance/runtime.hpp"

namespace strata::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    CreateOptions limits;
    std::string restart;
};

void define(CLI::App& command, Options& options) {
    auto& limits = options.limits;
    command.add_option("CONTAINER", options.names, "Name or ID")->required();
    command.add_option("-m,--memory", limits.memory, "Memory")->type_name("SIZE");
    command.add_option("--memory-swap", limits.memory_swap, "Memory and swap together")->type_name("SIZE");
    command.add_option("--cpus", limits.cpus, "Processors")->type_name("N");
    command.add_option("-c,--cpu-shares", limits.cpu_shares, "Weight against others")->type_name("N");
    command.add_option("--cpuset-cpus", limits.cpuset, "On these processors")->type_name("LIST");
    command.add_option("--pids-limit", limits.pids, "Most processes")->type_name("N");
    command.add_option("--restart", options.restart, "When to start it again")
        ->type_name("no|always|unless-stopped|on-failure[:N]");
    command.footer("Example:\n  strata update --memory 256M --cpus 1.5 web");
}

Result<int> update(const instance::Instances& instances, Options& options) {
    auto& wanted = options.limits;
    wanted.entrypoint = "x"; // only the limits of what this makes are used
    const auto settings = to_settings(wanted, {});
    if (!settings) {
        return std::unexpected(settings.error());
    }
    const auto& given = settings->limits;
    return for_each_named(instances, options.names, [&](const instance::Instance& each) -> Result<void> {
        auto changed = each;
        auto& limits = changed.settings.limits;
        const auto take = [](auto& target, const auto& value) {
            if (value != std::remove_cvref_t<decltype(value)>{}) {
                target = value;
            }
        };
        take(limits.memory, given.memory);
        take(limits.memory_swap, given.memory_swap);
        take(limits.cpus, given.cpus);
        take(limits.cpu_shares, given.cpu_shares);
        take(limits.cpuset_cpus, given.cpuset_cpus);
        take(limits.pids, given.pids);
        take(changed.settings.restart, options.restart);
        if (each.alive()) {
            const instance::Runtime runtime(instances.directory() + "/run");
            if (auto done = runtime.update(each.id, instance::resources_text(changed)); !done) {
                return done;
            }
        }
        auto saved = instances.save_settings(changed);
        if (saved) {
            instance::record_event(instances.database(), changed, "update");
        }
        return saved;
    });
}

} // namespace

void add_update(CLI::App& root, Outcome& outcome) {
    add_instance_command<Options>(root, outcome, "update", "Change the limits of containers", define, update);
}

} // namespace strata::cli
