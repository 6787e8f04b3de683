// The strata command. Each subcommand is a file of its own; see command.hpp.
#include "cli/command.hpp"
#include "cli/image/commands.hpp"

#include <fmt/format.h>

namespace strata::cli {

int report(const Error& error, int status) {
    fmt::print(stderr, "strata: {}\n", error.message);
    if (!error.hint.empty()) {
        fmt::print(stderr, "  hint: {}\n", error.hint);
    }
    return status;
}

namespace {

// The deepest subcommand that was named: where --help tells about what went wrong.
const CLI::App& named_command(const CLI::App& app) {
    const auto parsed = app.get_subcommands();
    return parsed.empty() ? app : named_command(*parsed.front());
}

std::string full_name(const CLI::App& app) {
    return app.get_parent() == nullptr ? "strata" : full_name(*app.get_parent()) + " " + app.get_name();
}

int run(int argc, char** argv) {
    CLI::App app("Virtual machines, from a kernel to a shell.", "strata");
    app.require_subcommand(1);
    app.set_help_all_flag("--help-all", "Print the help of every subcommand");
    app.footer("Examples:\n"
               "  strata run --kernel vmlinuz --initrd initrd.gz\n"
               "  strata run --help\n"
               "  strata cpus");
    Outcome outcome;
    add_run(app, outcome);
    add_engines(app, outcome);
    add_cpus(app, outcome);
    add_devices(app, outcome);
    add_disk(app, outcome);
    add_image_commands(app, outcome);
    add_completion(app, outcome);
    add_version(app, outcome);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
            return app.exit(error); // --help
        }
        return report({error.what(), "see " + full_name(named_command(app)) + " --help"}, bad_argument);
    }
    return outcome.status;
}

} // namespace
} // namespace strata::cli

int main(int argc, char** argv) { return strata::cli::run(argc, argv); }
