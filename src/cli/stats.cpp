// strata stats INSTANCE
#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "vm/control/client.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace strata::cli {
namespace {

int show_stats(const std::string& machine) {
    const auto exits = vm::control::exits(machine);
    if (!exits) {
        return report(exits.error(), failure);
    }
    Table table({"VCPU", "ENGINE", "REASON", "EXITS"});
    for (std::size_t vcpu = 0; vcpu < exits->size(); ++vcpu) {
        for (const auto& [engine, counts] : (*exits)[vcpu]) {
            for (const auto& [reason, count] : counts) {
                table.add({std::to_string(vcpu), engine, reason, std::to_string(count)});
            }
        }
    }
    table.print();
    return success;
}

} // namespace

void add_stats(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("stats", "Count what a running virtual machine has done");
    auto machine = std::make_shared<std::string>();
    command->add_option("INSTANCE", *machine, "The machine's --name")->required();
    command->footer(
        "Shows how often each virtual processor came out of the guest since the machine was started, and "
        "why, for engines that have a border to cross: KVM; for the translator, what it has translated and "
        "what "
        "it left to the interpreter.\nExample:\n  strata stats web");
    command->callback([machine, &outcome] { outcome.status = show_stats(*machine); });
}

} // namespace strata::cli
