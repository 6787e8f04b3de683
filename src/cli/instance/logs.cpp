// strata logs and attach: what a container writes.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"

#include "base/error.hpp"
#include "instance/attachment.hpp"
#include "instance/console.hpp"
#include "instance/life_cycle.hpp"
#include "instance/log.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

namespace strata::cli {
namespace {

struct Options {
    std::string name, tail{"all"}, since, until;
    bool follow = false, timestamps = false;
};

void define(CLI::App& command, Options& options) {
    command.add_option("CONTAINER", options.name, "Name or ID")->required();
    command.add_flag("-f,--follow", options.follow, "Go on until it ends");
    command.add_flag("-t,--timestamps", options.timestamps, "With the time of each line");
    command.add_option("-n,--tail", options.tail, "Only so many lines")
        ->type_name("N|all")
        ->capture_default_str();
    command.add_option("--since", options.since, "Only lines from this time on")->type_name("TIME");
    command.add_option("--until", options.until, "Only lines up to this time")->type_name("TIME");
    command.footer("Times are written as 2024-01-31T12:00:00Z.\n\nExample:\n  strata logs -f --tail 10 web");
}

Result<int> show(const instance::Instances& instances, Options& options) {
    const auto found = find_container(instances, options.name);
    if (!found) {
        return std::unexpected(found.error());
    }
    instance::LogRange range{.since = options.since, .until = options.until};
    if (options.tail != "all") {
        char* end = nullptr;
        range.last = std::strtoll(options.tail.c_str(), &end, 10);
        if (*end != '\0' || range.last < 0) {
            return fail(fmt::format("--tail {}: neither a number nor 'all'", options.tail));
        }
    }
    const auto print = [&](const instance::LogLine& line) {
        std::FILE* stream = line.stream == "stderr" ? stderr : stdout;
        fmt::print(stream, "{}{}{}", options.timestamps ? line.time : "", options.timestamps ? " " : "",
                   line.text);
        std::fflush(stream);
    };
    const auto path = instances.path(*found, "log.json");
    const auto from = instance::log_size(path);
    instance::read_log(path, found->settings.log_files, range, print);
    if (options.follow) {
        const auto ended = [&] {
            const auto now = find_container(instances, found->id);
            return !now || !now->alive();
        };
        instance::follow_log(path, from, ended, print);
    }
    return success;
}

struct AttachCommand {
    std::string name;
    bool no_input = false, no_signals = false;
};

void define_attach(CLI::App& command, AttachCommand& options) {
    command.add_option("CONTAINER", options.name, "Name or ID")->required();
    command.add_flag("--no-stdin", options.no_input, "Only show what it writes");
    command.add_flag("!--sig-proxy", options.no_signals,
                     "Send it the signals that arrive here (--sig-proxy=false: do not)");
    command.footer(
        "Ctrl-P Ctrl-Q leaves a container with a terminal running.\n\nExample:\n  strata attach web");
}

Result<int> attach(const instance::Instances& instances, AttachCommand& options) {
    const auto found = find_container(instances, options.name);
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!found->alive()) {
        return fail(fmt::format("container {} does not run", found->name),
                    "strata start -a starts and attaches");
    }
    const auto socket = instance::connect_to(instances.path(*found), instance::attach_socket, SOCK_SEQPACKET);
    if (!socket) {
        return std::unexpected(socket.error());
    }
    const auto& settings = found->settings;
    const int code =
        instance::carry_streams(socket->get(), {.terminal = settings.terminal,
                                                .input = settings.interactive && !options.no_input,
                                                .forward = !options.no_signals});
    if (code == -2) {
        return success;
    }
    return code >= 0 ? code : instance::wait(instances, *found);
}

} // namespace

void add_logs(CLI::App& root, Outcome& outcome) {
    add_instance_command<Options>(root, outcome, "logs", "Show what a container wrote", define, show);
    add_instance_command<AttachCommand>(root, outcome, "attach", "Connect this terminal with a container",
                                        define_attach, attach);
}

} // namespace strata::cli
