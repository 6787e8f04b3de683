// strata push: sends an image to a registry.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/image/progress.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

namespace strata::cli {
namespace {

struct Options {
    std::string name;
    bool all_tags = false, quiet = false;
};

void define(CLI::App& command, Options& options) {
    command.add_option("NAME[:TAG]", options.name, "The image, by the name under which it is to be there")
        ->required();
    command.add_flag("-a,--all-tags", options.all_tags, "Every tag of the repository that is here");
    command.add_flag("-q,--quiet", options.quiet, "Only the image's name");
    command.footer(
        "The name says to which registry. Layers that the registry has already, in this repository or\n"
        "in another that the image came from, are not sent again.\n\n"
        "Example:\n"
        "  strata tag app:1.0 registry.example:5000/team/app:1.0\n"
        "  strata login registry.example:5000\n"
        "  strata push registry.example:5000/team/app:1.0");
}

Result<void> push_one(const Images& images, const Options& options, const image::ImageEntry& entry) {
    if (!options.quiet) {
        fmt::print("The push refers to repository [{}]\n", entry.name->name());
    }
    Result<image::Descriptor> pushed;
    {
        ProgressBars bars(options.quiet);
        pushed = image::push_image(images.store, images.settings, entry, bars);
    }
    if (!pushed) {
        return std::unexpected(pushed.error());
    }
    tell_of_image(entry.name->familiar(), "push");
    if (options.quiet) {
        fmt::print("{}\n", entry.name->text());
    } else {
        fmt::print("{}: digest: {} size: {}\n", entry.name->tag, pushed->digest.text(), pushed->size);
    }
    return {};
}

Result<void> push(const Images& images, Options& options) {
    const auto wanted = image::Reference::parse(images.settings.resolve_alias(options.name));
    if (!wanted) {
        return std::unexpected(wanted.error());
    }
    if (!options.all_tags) {
        const auto entry = images.store.find(wanted->text(), {});
        return entry ? push_one(images, options, *entry) : std::unexpected(entry.error());
    }
    const auto entries = images.store.entries();
    if (!entries) {
        return std::unexpected(entries.error());
    }
    bool any = false;
    for (const auto& entry : *entries) {
        if (entry.name && entry.name->name() == wanted->name() && !entry.name->tag.empty()) {
            any = true;
            if (auto pushed = push_one(images, options, entry); !pushed) {
                return pushed;
            }
        }
    }
    return any ? Result<void>{} : fail(fmt::format("no image of {} here", wanted->familiar_name()));
}

} // namespace

void add_push(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "push", "Send an image to a registry", define, push);
}

} // namespace strata::cli
