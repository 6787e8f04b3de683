// strata engines
#include "cli/commands.hpp"
#include "cpu/engine.hpp"

#include <fmt/format.h>

namespace strata::cli {

void add_engines(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("engines", "List what can run a virtual processor, best first");
    command->footer(
        "An engine that cannot run here says why, and what would enable it. 'auto' takes the first that "
        "can.\nExamples:\n  strata engines\n  strata run --engine interpreter --kernel vmlinuz");
    command->callback([] {
        for (const auto& engine : cpu::engines()) {
            const auto reason = engine.unavailable();
            fmt::print("{:<17} {}\n", engine.name, engine.description);
            if (!reason.empty()) {
                fmt::print("{:<17} not here: {}\n", "", reason);
            }
        }
    });
}

} // namespace strata::cli
