#include "cli/machine_stats.hpp"

#include "cli/table.hpp"

namespace strata::cli {

void show_machine_stats(const std::vector<vm::ExitsByEngine>& exits) {
    Table table({"VCPU", "ENGINE", "REASON", "EXITS"});
    for (std::size_t vcpu = 0; vcpu < exits.size(); ++vcpu) {
        for (const auto& [engine, counts] : exits[vcpu]) {
            for (const auto& [reason, count] : counts) {
                table.add({std::to_string(vcpu), engine, reason, std::to_string(count)});
            }
        }
    }
    table.print();
}

} // namespace strata::cli
