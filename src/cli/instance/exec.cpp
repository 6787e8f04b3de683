// strata exec: runs a further program in a container.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"

#include "base/error.hpp"
#include "instance/exec.hpp"

#include <fmt/format.h>

namespace strata::cli {
namespace {

struct Options {
    instance::ExecOptions exec;
    std::vector<std::string> rest;
};

void define(CLI::App& command, Options& options) {
    auto& exec = options.exec;
    command.add_flag("-i,--interactive", exec.interactive, "Connect standard input");
    command.add_flag("-t,--tty", exec.execution.terminal, "Give it a terminal");
    command.add_flag("-d,--detach", exec.detached, "Do not wait for it");
    command.add_flag("--privileged", exec.execution.privileged, "All capabilities");
    command.add_option("-u,--user", exec.user, "Who runs it")->type_name("USER[:GROUP]");
    command.add_option("-w,--workdir", exec.execution.working_directory, "Where it runs")->type_name("DIR");
    command.add_option("-e,--env", exec.execution.environment, "Set a variable; may be repeated")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    take_command(command);
    command.footer("strata exec [OPTIONS] CONTAINER COMMAND [ARGUMENT...]\n\nExamples:\n  strata exec -it "
                   "web sh\n  strata exec -u www-data web id");
}

Result<int> run(const instance::Instances& instances, Options& options) {
    if (options.rest.size() < 2) {
        return fail("a container and a command are needed", "see strata exec --help");
    }
    const auto found = find_container(instances, options.rest.front());
    if (!found) {
        return std::unexpected(found.error());
    }
    options.exec.execution.command.assign(options.rest.begin() + 1, options.rest.end());
    return instance::exec(instances, *found, options.exec);
}

} // namespace

void add_exec(CLI::App& root, Outcome& outcome) {
    add_instance_command<Options>(root, outcome, "exec", "Run a command in a container", define, run);
}

} // namespace strata::cli
