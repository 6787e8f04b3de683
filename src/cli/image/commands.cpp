#include "cli/image/commands.hpp"

namespace strata::cli {

void add_image_commands(CLI::App& root, Outcome& outcome) {
    for (const auto add : {add_pull, add_push, add_images, add_load, add_save, add_import, add_tag, add_rmi,
                           add_inspect, add_history, add_search, add_login, add_prune}) {
        add(root, outcome);
    }
}

} // namespace strata::cli
