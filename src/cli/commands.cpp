#include "cli/commands.hpp"
#include "cli/oci.hpp"

#include "cli/instance/commands.hpp"

#include <vector>

namespace strata::cli {
namespace {

struct Group {
    const char* title;
    std::vector<void (*)(CLI::App&, Outcome&)> add;
};

} // namespace

void add_commands(CLI::App& root, Outcome& outcome) {
    const Group groups[] = {
        {"Containers and virtual machines", {add_run, add_stats}},
        {"Containers",
         {add_create, add_ps, add_exec, add_logs, add_life_cycle, add_container_files, add_update, add_events,
          add_volume, add_network}},
        {"Virtual machines", {add_disk, add_engine, add_engines, add_cpus, add_devices}},
        {"Images",
         {add_pull, add_push, add_images, add_load, add_save, add_import, add_tag, add_rmi, add_inspect,
          add_history, add_search, add_login, add_prune}},
        {"Containers", {add_oci}},
        {"The command itself", {add_completion, add_debug, add_version}},
    };
    for (const Group& group : groups) {
        const auto before = root.get_subcommands({}).size();
        for (const auto add : group.add) {
            add(root, outcome);
        }
        const auto all = root.get_subcommands({});
        for (auto at = before; at < all.size(); ++at) {
            all[at]->group(group.title);
        }
    }
}

} // namespace strata::cli
