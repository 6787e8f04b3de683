// strata start, stop, restart, kill, pause, unpause, wait, rm and rename.
#include "cli/instance/commands.hpp"
#include "cli/instance/container_run.hpp"

#include "base/error.hpp"
#include "instance/events.hpp"
#include "instance/life_cycle.hpp"
#include "instance/monitor.hpp"
#include "vm/control/client.hpp"

#include <cerrno>
#include <fmt/format.h>

namespace strata::cli {
namespace {

struct Names {
    std::vector<std::string> names;
    bool attach = false, force = false, volumes = false;
    std::optional<std::int64_t> seconds;
    std::string signal{"KILL"};
};

void define(CLI::App& command, Names& options) {
    command.add_option("CONTAINER", options.names, "Name, ID, or the beginning of an ID")->required();
    command.footer("Example:\n  strata " + command.get_name() + " web");
}

void define_pause(CLI::App& command, Names& options) {
    command
        .add_option("INSTANCE", options.names,
                    "A container's name, ID, or the beginning of an ID; a machine's --name")
        ->required();
    command.footer("A machine's clock stands still, too: its guest does not notice.\nExample:\n  strata " +
                   command.get_name() + " web");
}

void define_start(CLI::App& command, Names& options) {
    define(command, options);
    command.add_flag("-a,--attach", options.attach, "Show what it writes, and end with its exit code");
    command.footer("Examples:\n  strata start web\n  strata start -a job");
}

void define_stop(CLI::App& command, Names& options) {
    define(command, options);
    command.add_option("-t,--time", options.seconds, "Seconds from the stop signal to SIGKILL")
        ->type_name("N");
}

void define_kill(CLI::App& command, Names& options) {
    define(command, options);
    command.add_option("-s,--signal", options.signal, "Signal")->type_name("SIGNAL")->capture_default_str();
    command.footer("Examples:\n  strata kill web\n  strata kill -s HUP web");
}

void define_rm(CLI::App& command, Names& options) {
    define(command, options);
    command.add_flag("-f,--force", options.force, "Also one that runs");
    command.add_flag("-v,--volumes", options.volumes, "With its volumes that have no name");
    command.footer("Examples:\n  strata rm web\n  strata rm -f web worker");
}

Result<int> start(const instance::Instances& instances, Names& options) {
    if (options.attach && options.names.size() == 1) {
        const auto found = find_container(instances, options.names.front());
        return found ? start_attached(instances, *found) : std::unexpected(found.error());
    }
    return for_each_named(instances, options.names, [&](const instance::Instance& each) -> Result<void> {
        return each.alive() ? Result<void>{} : instance::launch(instances, each);
    });
}

Result<int> stop(const instance::Instances& instances, Names& options) {
    return for_each_named(instances, options.names,
                          [&](const auto& each) { return instance::stop(instances, each, options.seconds); });
}

Result<int> restart(const instance::Instances& instances, Names& options) {
    return for_each_named(instances, options.names, [&](const instance::Instance& each) -> Result<void> {
        if (auto stopped = instance::stop(instances, each, options.seconds); !stopped) {
            return stopped;
        }
        const auto again = find_container(instances, each.id);
        auto launched = again ? instance::launch(instances, *again) : std::unexpected(again.error());
        if (launched) {
            instance::record_event(instances.database(), each, "restart");
        }
        return launched;
    });
}

Result<int> kill(const instance::Instances& instances, Names& options) {
    const auto signal = instance::parse_signal(options.signal);
    if (!signal) {
        return std::unexpected(signal.error());
    }
    return for_each_named(instances, options.names,
                          [&](const auto& each) { return instance::kill(instances, each, *signal); });
}

// Containers and machines have names of different kinds; where both have one, it is the container's.
template <bool paused>
Result<int> set_paused(const instance::Instances& instances, Names& options) {
    int status = success;
    std::vector<std::string> containers;
    for (const auto& name : options.names) {
        if (find_container(instances, name) || !vm::control::is_running(name)) {
            containers.push_back(name);
        } else if (const auto done = vm::control::set_paused(name, paused); done) {
            fmt::print("{}\n", name);
        } else {
            status = report(done.error(), failure);
        }
    }
    const auto others = for_each_named(
        instances, containers, [&](const auto& each) { return instance::pause(instances, each, paused); });
    return others && *others == success ? Result<int>(status) : others;
}

Result<int> wait(const instance::Instances& instances, Names& options) {
    for (const auto& name : options.names) {
        const auto found = find_container(instances, name);
        const auto code =
            found ? instance::wait(instances, *found) : Result<int>(std::unexpected(found.error()));
        if (!code) {
            return code;
        }
        fmt::print("{}\n", *code);
    }
    return success;
}

Result<int> remove(const instance::Instances& instances, Names& options) {
    return for_each_named(
        instances, options.names,
        [&](const auto& each) {
            return instance::remove_instance(instances, each, options.volumes, options.force);
        },
        options.force); // one that is gone is what was asked for
}

struct Renaming {
    std::string from, to;
};

void define_rename(CLI::App& command, Renaming& options) {
    command.add_option("CONTAINER", options.from, "Name or ID")->required();
    command.add_option("NAME", options.to, "Its new name")->required();
    command.footer("Example:\n  strata rename web old-web");
}

Result<int> rename(const instance::Instances& instances, Renaming& options) {
    const auto found = find_container(instances, options.from);
    const auto done =
        found ? instances.rename(*found, options.to) : Result<void>(std::unexpected(found.error()));
    return done ? Result<int>(success) : std::unexpected(done.error());
}

} // namespace

void add_life_cycle(CLI::App& root, Outcome& outcome) {
    add_instance_command<Names>(root, outcome, "start", "Start containers", define_start, start);
    add_instance_command<Names>(root, outcome, "stop", "Stop containers", define_stop, stop);
    add_instance_command<Names>(root, outcome, "restart", "Stop and start containers", define_stop, restart);
    add_instance_command<Names>(root, outcome, "kill", "Send containers a signal", define_kill, kill);
    add_instance_command<Names>(root, outcome, "pause", "Hold containers or virtual machines", define_pause,
                                set_paused<true>);
    add_instance_command<Names>(root, outcome, "unpause", "Let them go on", define_pause, set_paused<false>);
    add_instance_command<Names>(root, outcome, "wait",
                                "Wait for the end of containers, and show their exit codes", define, wait);
    add_instance_command<Names>(root, outcome, "rm", "Remove containers", define_rm, remove);
    add_instance_command<Renaming>(root, outcome, "rename", "Give a container another name", define_rename,
                                   rename);
}

} // namespace strata::cli
