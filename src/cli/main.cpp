// The strata command: its subcommands are in commands.hpp.
#include "cli/commands.hpp"
#include "cli/oci.hpp"
#include "cli/usage_error.hpp"

#include <fmt/format.h>
#include <new>
#include <optional>

namespace strata::cli {
namespace {

// Names of files may hold anything; what a terminal would obey is shown instead.
std::string printable(const std::string& text) {
    std::string line;
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        line += code < 0x20 || code == 0x7f ? fmt::format("\\x{:02x}", code) : std::string(1, c);
    }
    return line;
}

} // namespace

int report(const Error& error, int status) {
    fmt::print(stderr, "strata: {}\n", printable(error.message));
    if (!error.hint.empty()) {
        fmt::print(stderr, "  hint: {}\n", printable(error.hint));
    }
    return status;
}

namespace {

// The exit status where that is all; else the subcommand's outcome says what is left to do.
std::optional<int> parse(int argc, char** argv, Outcome& outcome) {
    CLI::App app("Containers and virtual machines, from an image or a kernel to a shell.", "strata");
    app.require_subcommand(1);
    app.set_help_all_flag("--help-all", "Print the help of every subcommand");
    app.footer("Examples:\n"
               "  strata run -it debian:12 bash\n"
               "  strata run --kernel vmlinuz --initrd initrd.gz\n"
               "  strata run --help\n"
               "  strata cpus");
    add_commands(app, outcome);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
            return app.exit(error); // --help
        }
        return report(usage_error(app, error), bad_argument);
    }
    return std::nullopt;
}

int run(int argc, char** argv) {
    hand_over_to_oci(argc, argv);
    Outcome outcome;
    if (const auto status = parse(argc, argv, outcome)) {
        return *status;
    }
    return outcome.later ? outcome.later() : outcome.status;
}

} // namespace
} // namespace strata::cli

int main(int argc, char** argv) {
    try {
        return strata::cli::run(argc, argv);
    } catch (const std::bad_alloc&) {
        return strata::cli::report({"this host has not enough memory for that", "ask for less"},
                                   strata::cli::failure);
    }
}
