// strata rmi: removes names, and images that have none left.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/usage_error.hpp"
#include "image/store/garbage.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace strata::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    bool force = false;
};

void define(CLI::App& command, Options& options) {
    command.add_option("IMAGE", options.names, "Names or IDs")->required();
    command.add_flag("-f,--force", options.force,
                     "Remove an ID with all its names; no error where there is none");
    command.footer(
        "A name is removed; an image whose last name goes is removed with it. Layers that other images\n"
        "have stay.\n\n"
        "Examples:\n"
        "  strata rmi debian:12\n"
        "  strata rmi $(strata images -q -f dangling=true)");
}

bool same_entry(const image::ImageEntry& a, const image::ImageEntry& b) {
    return a.name == b.name && a.target.digest == b.target.digest;
}

// Whether `text` is an ID, not a name of the entry.
bool is_by_id(const Images& images, const image::ImageEntry& entry, const std::string& text) {
    const auto names = image::candidates(images.settings.resolve_alias(text), images.settings.search);
    return !names || !entry.name ||
           std::ranges::none_of(*names, [&](const auto& name) { return name.name() == entry.name->name(); });
}

Result<void> remove(const Images& images, const Options& options, const std::string& text) {
    const auto entry = images.find(text);
    if (!entry) {
        return options.force ? Result<void>{} : std::unexpected(entry.error());
    }
    const bool by_id = is_by_id(images, *entry, text);
    const auto id = shown_image(images, *entry);
    std::vector<image::ImageEntry> removed;
    bool gone = false;
    const auto updated = images.store.update([&](image::ImageEntries& entries) -> Result<void> {
        const auto leaves = [&](const image::ImageEntry& other) {
            return by_id ? other.target.digest == entry->target.digest : same_entry(other, *entry);
        };
        if (by_id && !options.force && std::ranges::count_if(entries, leaves) > 1) {
            return fail(fmt::format("image {} has more than one name", text),
                        "remove the names one by one, or all with --force");
        }
        std::ranges::copy_if(entries, std::back_inserter(removed), leaves);
        std::erase_if(entries, leaves);
        gone = std::ranges::none_of(
            entries, [&](const auto& other) { return other.target.digest == entry->target.digest; });
        return {};
    });
    if (!updated) {
        return updated;
    }
    for (const auto& old : removed) {
        if (old.name) {
            fmt::print("Untagged: {}\n", old.name->familiar());
            tell_of_image(old.name->familiar(), "untag");
        }
    }
    if (gone) {
        const auto shown = id ? id->id().text() : entry->target.digest.text();
        fmt::print("Deleted: {}\n", shown);
        tell_of_image(shown, "delete");
    }
    return {};
}

Result<void> remove_all(const Images& images, Options& options) {
    Result<void> outcome;
    for (const auto& name : options.names) {
        if (auto removed = remove(images, options, name); !removed && outcome) {
            outcome = removed;
        } else if (!removed) {
            report(removed.error(), failure);
        }
    }
    if (const auto collected = image::collect_garbage(images.store); !collected && outcome) {
        outcome = std::unexpected(collected.error());
    }
    return outcome;
}

} // namespace

void add_rmi(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "rmi", "Remove images", define, remove_all);
}

} // namespace strata::cli
