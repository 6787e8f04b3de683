// strata pull: fetches an image from a registry.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/image/progress.hpp"

#include "base/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::cli {
namespace {

struct Options {
    std::string name, platform;
    bool all_tags = false, all_platforms = false, quiet = false;
};

void define(CLI::App& command, Options& options) {
    command.add_option("NAME[:TAG|@DIGEST]", options.name, "The image")->required();
    command.add_option("--platform", options.platform, "For which machines; this one by default")
        ->type_name("OS/ARCHITECTURE");
    command.add_flag("--all-platforms", options.all_platforms,
                     "The image for every platform, with its index");
    command.add_flag("-a,--all-tags", options.all_tags, "Every tag of the repository");
    command.add_flag("-q,--quiet", options.quiet, "Only the image's name");
    command.footer(
        "A name without a registry is looked for in the registries that registries.json lists as\n"
        "\"search\": docker.io when there is no such file. A pull that is broken off goes on, when it is\n"
        "repeated, where it ended. Registries on this host (127.0.0.1, localhost) are asked in plain "
        "HTTP.\n\n"
        "Examples:\n"
        "  strata pull debian:12\n"
        "  strata pull --platform linux/arm64 quay.io/team/app\n"
        "  strata pull registry.example:5000/app@sha256:…");
}

Result<void> pull_one(const Images& images, const Options& options, const image::Reference& name) {
    image::PullOptions pull{.all_platforms = options.all_platforms};
    if (!options.platform.empty()) {
        auto platform = image::Platform::parse(options.platform);
        if (!platform) {
            return std::unexpected(platform.error());
        }
        pull.platform = std::move(*platform);
    }
    if (!options.quiet) {
        fmt::print("{}: Pulling from {}\n", name.digest ? name.digest->text() : name.tag, name.repository);
    }
    Result<image::Pulled> pulled;
    {
        ProgressBars bars(options.quiet);
        pulled = image::pull_image(images.store, images.settings, name, pull, bars);
    }
    if (!pulled) {
        return std::unexpected(pulled.error());
    }
    tell_of_image(name.familiar(), "pull");
    if (!options.quiet) {
        fmt::print("Digest: {}\n", pulled->entry.repository_digest->text());
        fmt::print("Status: {} {}\n",
                   pulled->is_new ? "Downloaded newer image for" : "Image is up to date for",
                   name.familiar());
    }
    fmt::print("{}\n", name.text());
    return {};
}

Result<std::vector<std::string>> tags_of(const Images& images, const image::Reference& name) {
    auto credentials = image::find_credentials(name.registry);
    if (!credentials) {
        return std::unexpected(credentials.error());
    }
    image::RegistryClient client(images.settings, name.registry, name.repository, image::Access::pull,
                                 std::move(*credentials));
    const auto answer = client.get(name.repository + "/tags/list");
    if (!answer) {
        return std::unexpected(answer.error());
    }
    JsonReader reader("tags of " + name.familiar_name());
    auto tags = reader.parse(answer->ok() ? answer->body : "{}").find("tags").strings();
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    if (tags.empty()) {
        return fail(
            fmt::format("{}: no tags of {} (status {})", name.registry, name.repository, answer->status));
    }
    return tags;
}

Result<void> pull_all_tags(const Images& images, const Options& options, image::Reference name) {
    const auto tags = tags_of(images, name);
    if (!tags) {
        return std::unexpected(tags.error());
    }
    for (const auto& tag : *tags) {
        name.tag = tag;
        if (auto pulled = pull_one(images, options, name); !pulled) {
            return pulled;
        }
    }
    return {};
}

Result<void> pull(const Images& images, Options& options) {
    const auto names = image::candidates(images.settings.resolve_alias(options.name), images.settings.search);
    if (!names) {
        return std::unexpected(names.error());
    }
    Result<void> outcome;
    for (const auto& name : *names) {
        outcome = options.all_tags ? pull_all_tags(images, options, name) : pull_one(images, options, name);
        if (outcome) {
            return outcome;
        }
        if (&name != &names->back()) {
            report(outcome.error(), failure); // the next registry of the list may have it
        }
    }
    return outcome;
}

} // namespace

void add_pull(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "pull", "Fetch an image from a registry", define, pull);
}

} // namespace strata::cli
