#include "image/descriptor.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

namespace strata::image {
namespace {

// uname's machine names, Go's, and the aliases that users type.
struct ArchitectureName {
    std::string_view alias, architecture, variant;
};

constexpr std::array architecture_names{
    ArchitectureName{"x86_64", "amd64", ""},  ArchitectureName{"x86-64", "amd64", ""},
    ArchitectureName{"i386", "386", ""},      ArchitectureName{"i686", "386", ""},
    ArchitectureName{"aarch64", "arm64", ""}, ArchitectureName{"armv7l", "arm", "v7"},
    ArchitectureName{"armhf", "arm", "v7"},   ArchitectureName{"armel", "arm", "v6"},
};

void set_architecture(Platform& platform, std::string_view name) {
    const auto* known = std::ranges::find(architecture_names, name, &ArchitectureName::alias);
    platform.architecture = known == architecture_names.end() ? name : known->architecture;
    if (known != architecture_names.end()) {
        platform.variant = known->variant;
    }
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.';
    });
}

} // namespace

Platform Platform::host() {
    Platform platform{.os = "linux", .architecture = "amd64"};
    utsname names{};
    if (uname(&names) == 0) {
        set_architecture(platform, names.machine);
    }
    return platform;
}

Result<Platform> Platform::parse(std::string_view text) {
    std::vector<std::string> parts;
    for (auto rest = text;;) {
        const auto slash = rest.find('/');
        parts.emplace_back(rest.substr(0, slash));
        if (slash == std::string_view::npos) {
            break;
        }
        rest.remove_prefix(slash + 1);
    }
    if (parts.size() > 3 || !std::ranges::all_of(parts, is_word)) {
        return fail(fmt::format("'{}' is not a platform", text),
                    "a platform is OS/ARCHITECTURE[/VARIANT], for example linux/arm64 or linux/arm/v7");
    }
    Platform platform = host();
    if (parts.size() == 1 && parts[0] != platform.os) { // an architecture alone
        set_architecture(platform, parts[0]);
        return platform;
    }
    platform.os = parts[0];
    if (parts.size() > 1) {
        platform.variant.clear();
        set_architecture(platform, parts[1]);
    }
    if (parts.size() > 2) {
        platform.variant = parts[2];
    }
    return platform;
}

std::string Platform::text() const {
    return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

bool Platform::fits(const Platform& wanted) const {
    return os == wanted.os && architecture == wanted.architecture &&
           (wanted.variant.empty() || variant.empty() || variant == wanted.variant);
}

Platform read_platform(const JsonNode& node) {
    return {.os = node.at("os").string(),
            .architecture = node.at("architecture").string(),
            .variant = node.find("variant").string(),
            .os_version = node.find("os.version").string()};
}

Digest read_digest(const JsonNode& node) {
    const auto text = node.string();
    if (!node || text.empty()) {
        if (node) {
            node.refuse("is not a digest");
        }
        return {};
    }
    auto digest = Digest::parse(text);
    if (!digest) {
        node.refuse(fmt::format("is not a digest: {}", digest.error().message));
        return {};
    }
    return std::move(*digest);
}

Descriptor read_descriptor(const JsonNode& node) {
    Descriptor descriptor{.media_type = node.at("mediaType").string(),
                          .digest = read_digest(node.at("digest")),
                          .size = node.at("size").number(),
                          .urls = node.find("urls").strings(),
                          .annotations = node.find("annotations").string_map()};
    if (const auto platform = node.find("platform")) {
        descriptor.platform = read_platform(platform);
    }
    return descriptor;
}

Json to_json(const Platform& platform) {
    Json json{{"os", platform.os}, {"architecture", platform.architecture}};
    if (!platform.variant.empty()) {
        json["variant"] = platform.variant;
    }
    if (!platform.os_version.empty()) {
        json["os.version"] = platform.os_version;
    }
    return json;
}

Json to_json(const Descriptor& descriptor) {
    Json json{{"mediaType", descriptor.media_type},
              {"digest", descriptor.digest.text()},
              {"size", descriptor.size}};
    if (descriptor.platform) {
        json["platform"] = to_json(*descriptor.platform);
    }
    if (!descriptor.urls.empty()) {
        json["urls"] = descriptor.urls;
    }
    if (!descriptor.annotations.empty()) {
        json["annotations"] = descriptor.annotations;
    }
    return json;
}

Descriptor describe(std::string_view media_type, std::string_view content) {
    return {.media_type = std::string(media_type), .digest = Digest::of(content), .size = content.size()};
}

} // namespace strata::image
