#include "image/manifest.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <nlohmann/json.hpp>

namespace strata::image {
namespace {

// A document may state its own type, which then must be the one it was fetched as: read once as a manifest
// and once as an index it would be two images under one digest (CVE-2021-41190).
void check_identity(const JsonNode& root, std::string_view expected, std::string_view foreign_member) {
    if (const auto version = root.at("schemaVersion"); version.number() != 2 && version) {
        version.refuse("is not 2; images of the old schema 1 are not supported");
    }
    if (const auto stated = root.find("mediaType"); stated && stated.string() != expected) {
        stated.refuse(fmt::format("is '{}', but it came as '{}'", stated.string(), expected));
    }
    if (const auto foreign = root.find(foreign_member)) {
        foreign.refuse("does not belong into a document of this type");
    }
}

std::vector<Descriptor> read_descriptors(const JsonNode& list) {
    std::vector<Descriptor> descriptors;
    for (const auto& item : list.items()) {
        descriptors.push_back(read_descriptor(item));
    }
    return descriptors;
}

Json to_json(const std::vector<Descriptor>& descriptors) {
    Json list = Json::array();
    for (const auto& descriptor : descriptors) {
        list.push_back(image::to_json(descriptor));
    }
    return list;
}

template <class Document>
Result<Document> checked(Document document, const JsonReader& reader) {
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return document;
}

} // namespace

Result<Manifest> Manifest::parse(std::string_view text, std::string_view media_type, std::string_view what) {
    JsonReader reader{std::string(what)};
    const auto root = reader.parse(text);
    check_identity(root, media_type, "manifests");
    const auto config = root.at("config");
    const auto layers = root.at("layers");
    Manifest manifest{.media_type = std::string(media_type),
                      .config = config ? read_descriptor(config) : Descriptor{},
                      .layers = read_descriptors(layers),
                      .annotations = root.find("annotations").string_map()};
    return checked(std::move(manifest), reader);
}

std::string Manifest::text() const {
    Json json{{"schemaVersion", 2},
              {"mediaType", media_type},
              {"config", image::to_json(config)},
              {"layers", to_json(layers)}};
    if (!annotations.empty()) {
        json["annotations"] = annotations;
    }
    return dump(json);
}

Result<Index> Index::parse(std::string_view text, std::string_view media_type, std::string_view what) {
    JsonReader reader{std::string(what)};
    const auto root = reader.parse(text);
    check_identity(root, media_type, "layers");
    Index index{.media_type = std::string(media_type),
                .manifests = read_descriptors(root.at("manifests")),
                .annotations = root.find("annotations").string_map()};
    return checked(std::move(index), reader);
}

std::string Index::text() const {
    Json json{{"schemaVersion", 2}, {"mediaType", media_type}, {"manifests", to_json(manifests)}};
    if (!annotations.empty()) {
        json["annotations"] = annotations;
    }
    return dump(json);
}

Result<Descriptor> Index::choose(const Platform& platform, std::string_view what) const {
    std::string offered;
    const Descriptor* best = nullptr;
    for (const auto& entry : manifests) {
        if (!entry.platform) {
            best = best == nullptr && manifests.size() == 1 ? &entry : best;
            continue;
        }
        offered += (offered.empty() ? "" : ", ") + entry.platform->text();
        const bool exact = *entry.platform == platform;
        if (entry.platform->fits(platform) && (best == nullptr || exact)) {
            best = &entry;
        }
    }
    if (best == nullptr) {
        return fail(fmt::format("{} has no image for {}", what, platform.text()),
                    offered.empty() ? "" : "choose one with --platform: " + offered);
    }
    return *best;
}

std::string detect_media_type(std::string_view text) {
    JsonReader reader{std::string{}};
    const auto root = reader.parse(text);
    const auto stated = root.find("mediaType").string();
    if (reader.error() || !stated.empty()) {
        return stated;
    }
    if (root.find("manifests")) {
        return std::string(media_type::oci_index);
    }
    return root.find("layers") ? std::string(media_type::oci_manifest) : std::string{};
}

} // namespace strata::image
