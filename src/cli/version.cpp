// strata version
#include "cli/commands.hpp"

#include <fmt/format.h>

namespace strata::cli {

void add_version(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("version", "Print the version");
    command->footer("Example:\n  strata version");
    command->callback([] { fmt::print("strata {}\n", STRATA_VERSION); });
}

} // namespace strata::cli
