// strata prune: gives back the space of what nobody needs.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/table.hpp"
#include "image/store/garbage.hpp"

#include "base/error.hpp"

#include <fmt/format.h>
#include <iostream>
#include <unistd.h>

namespace strata::cli {
namespace {

struct Options {
    bool all = false, force = false;
};

void define(CLI::App& command, Options& options) {
    command.add_flag("-a,--all", options.all, "Also images that have names");
    command.add_flag("-f,--force", options.force, "Do not ask");
    command.footer(
        "Removes images that lost their name to a newer one, layers and unpacked layers that no image\n"
        "has, and what broken-off pulls left to be resumed.\n\n"
        "Examples:\n"
        "  strata prune\n"
        "  strata prune --all --force");
}

bool confirmed(const Options& options) {
    if (options.force) {
        return true;
    }
    fmt::print("WARNING! This will remove all images {}.\nAre you sure you want to continue? [y/N] ",
               options.all ? "" : "without a name");
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

Result<void> prune(const Images& images, Options& options) {
    if (!confirmed(options)) {
        return {};
    }
    std::vector<std::string> removed;
    const auto updated = images.store.update([&](image::ImageEntries& entries) -> Result<void> {
        std::erase_if(entries, [&](const image::ImageEntry& entry) {
            const bool unwanted = options.all || !entry.name;
            if (unwanted) {
                removed.push_back(entry.name ? "untagged: " + entry.name->familiar()
                                             : "deleted: " + entry.target.digest.text());
            }
            return unwanted;
        });
        return {};
    });
    if (!updated) {
        return updated;
    }
    const auto collected = image::collect_garbage(images.store, true);
    if (!collected) {
        return std::unexpected(collected.error());
    }
    if (!removed.empty()) {
        fmt::print("Deleted Images:\n");
    }
    for (const auto& line : removed) {
        fmt::print("{}\n", line);
        tell_of_image(line.substr(line.find(' ') + 1), line.starts_with("untagged") ? "untag" : "delete");
    }
    fmt::print("{}Total reclaimed space: {}\n", removed.empty() ? "" : "\n", human_size(collected->bytes));
    return {};
}

} // namespace

void add_prune(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "prune", "Remove images that nobody needs", define, prune);
}

} // namespace strata::cli
