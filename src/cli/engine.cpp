// strata engine switch INSTANCE ENGINE
#include "cli/commands.hpp"
#include "vm/control/client.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace strata::cli {
namespace {

struct Options {
    std::string machine, engine;
};

int switch_engine(const Options& options) {
    if (auto switched = vm::control::switch_engine(options.machine, options.engine); !switched) {
        return report(switched.error(), failure);
    }
    fmt::print("{} runs on {}\n", options.machine, options.engine);
    return success;
}

} // namespace

void add_engine(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("engine", "Change what runs a virtual machine's processors");
    command->require_subcommand(1);
    auto* change = command->add_subcommand("switch", "Move a running machine to another engine");
    auto options = std::make_shared<Options>();
    change->add_option("INSTANCE", options->machine, "The machine's --name")->required();
    change->add_option("ENGINE", options->engine, "The engine; strata engines lists them")->required();
    constexpr auto examples =
        R"(The guest stands still for some milliseconds and goes on where it was: memory, devices and connections stay.

Examples:
  strata run --name web --engine interpreter --kernel vmlinuz --initrd initrd.gz
  strata engine switch web translator)";
    change->footer(examples);
    command->footer("Example:\n  strata engine switch web translator");
    change->callback([options, &outcome] { outcome.status = switch_engine(*options); });
}

} // namespace strata::cli
