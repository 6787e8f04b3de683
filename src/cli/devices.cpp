// strata devices
#include "cli/commands.hpp"
#include "machine/boards/board.hpp"

#include <fmt/format.h>

namespace strata::cli {

void add_devices(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("devices", "List the boards and the devices on each");
    command->footer("Example:\n  strata devices");
    command->callback([] {
        for (const auto& board : machine::boards()) {
            fmt::print("board {}: {}\n", board.name, board.description);
            for (const auto& part : board.parts()) {
                fmt::print("  {:<16}{}\n", part.info.name, part.info.description);
                if (!part.wiring.empty()) {
                    fmt::print("  {:<16}{}\n", "", part.wiring);
                }
            }
        }
    });
}

} // namespace strata::cli
