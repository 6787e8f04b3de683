// strata inspect: all that is known of an image, as Docker's client writes it.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/template.hpp"
#include "cli/usage_error.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    std::string format, type = "image", platform;
};

void define(CLI::App& command, Options& options) {
    command.add_option("IMAGE", options.names, "Names or IDs")->required();
    command.add_option("-f,--format", options.format, "json, or a template as in '{{.Config.Env}}'")
        ->type_name("FORMAT");
    command.add_option("--type", options.type, "Kind of object")
        ->check(one_of({"image"}))
        ->type_name("image");
    command.add_option("--platform", options.platform, "Of an image for many platforms, the one to show")
        ->type_name("OS/ARCHITECTURE");
    command.footer("Examples:\n"
                   "  strata inspect debian:12\n"
                   "  strata inspect -f '{{.Id}} {{json .Config.Cmd}}' debian:12");
}

nlohmann::json describe(const Images& images, const image::ImageEntry& entry, const image::Image& image) {
    nlohmann::json tags = nlohmann::json::array(), digests = nlohmann::json::array();
    for (const auto& other : images.store.entries().value_or(image::ImageEntries{})) {
        if (other.target.digest != entry.target.digest || !other.name) {
            continue;
        }
        if (!other.name->tag.empty()) {
            tags.push_back(other.name->familiar());
        }
        const auto digest = other.repository_digest ? other.repository_digest : other.name->digest;
        if (digest) {
            digests.push_back(other.name->familiar_name() + "@" + digest->text());
        }
    }
    const auto config = image.config.json();
    nlohmann::json layers = nlohmann::json::array();
    for (const auto& id : image.config.diff_ids) {
        layers.push_back(id.text());
    }
    nlohmann::json result{
        {"Id", image.id().text()},
        {"RepoTags", tags},
        {"RepoDigests", digests},
        {"Comment", image.config.history.empty() ? "" : image.config.history.back().comment},
        {"Created", image.config.created},
        {"Author", image.config.author},
        {"Architecture", image.config.platform.architecture},
        {"Os", image.config.platform.os},
        {"Size", image.size()},
        {"Config", config["config"]},
        {"RootFS", {{"Type", "layers"}, {"Layers", layers}}},
        {"Descriptor", image::to_json(image.target)}};
    if (!image.config.platform.variant.empty()) {
        result["Variant"] = image.config.platform.variant;
    }
    return result;
}

Result<nlohmann::json> look_at(const Images& images, const Options& options, const std::string& name) {
    const auto entry = images.find(name);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    Result<image::Image> image;
    if (options.platform.empty()) {
        image = shown_image(images, *entry);
    } else {
        const auto platform = image::Platform::parse(options.platform);
        image = platform ? images.store.load(entry->target, *platform, name)
                         : Result<image::Image>(std::unexpected(platform.error()));
    }
    if (!image) {
        return std::unexpected(image.error());
    }
    return describe(images, *entry, *image);
}

Result<void> inspect(const Images& images, Options& options) {
    auto all = nlohmann::json::array();
    Result<void> outcome;
    for (const auto& name : options.names) {
        if (auto one = look_at(images, options, name)) {
            all.push_back(std::move(*one));
        } else {
            outcome = std::unexpected(one.error());
        }
    }
    if (options.format.empty() || options.format == "json") {
        fmt::print("{}\n", all.dump(options.format.empty() ? 4 : -1, ' ', false,
                                    nlohmann::json::error_handler_t::replace));
        return outcome;
    }
    for (const auto& one : all) {
        const auto line = render(options.format, one);
        if (!line) {
            return std::unexpected(line.error());
        }
        fmt::print("{}\n", *line);
    }
    return outcome;
}

} // namespace

void add_inspect(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "inspect", "Show all that is known of an image", define,
                               inspect);
}

} // namespace strata::cli
