#include "cli/image/describe.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

namespace strata::cli {
namespace {

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

} // namespace

Result<nlohmann::json> describe_image(const Images& images, const std::string& name,
                                      const std::string& platform_name) {
    const auto entry = images.find(name);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    Result<image::Image> image;
    if (platform_name.empty()) {
        image = shown_image(images, *entry);
    } else {
        const auto platform = image::Platform::parse(platform_name);
        image = platform ? images.store.load(entry->target, *platform, name)
                         : Result<image::Image>(std::unexpected(platform.error()));
    }
    if (!image) {
        return std::unexpected(image.error());
    }
    return describe(images, *entry, *image);
}

} // namespace strata::cli
