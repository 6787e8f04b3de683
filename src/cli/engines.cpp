// strata engines
#include "cli/commands.hpp"
#include "cpu/engine.hpp"

#include <fmt/format.h>

namespace strata::cli {

void add_engines(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("engines", "List what can run a virtual processor, best first");
    command->footer("Examples:\n  strata engines\n  strata run --engine interpreter --kernel vmlinuz");
    command->callback([] {
        for (const auto& engine : cpu::engines()) {
            const auto reason = engine.unavailable();
            fmt::print("{:<14}{}{}\n", engine.name, engine.description,
                       reason.empty() ? "" : " (not available: " + reason + ")");
        }
    });
}

} // namespace strata::cli
