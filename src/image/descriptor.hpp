// References to content by type, digest and size: OCI image specification, "Content Descriptors".
#pragma once

#include "base/json_reader.hpp"
#include "image/digest.hpp"
#include "image/media_type.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::image {

// For which machines content is: the values are Go's names of systems and architectures.
struct Platform {
    std::string os, architecture, variant{};
    std::string os_version{};

    // OS[/ARCHITECTURE[/VARIANT]]; the host's own values where the text has none.
    [[nodiscard]] static Result<Platform> parse(std::string_view text);
    [[nodiscard]] static Platform host();
    [[nodiscard]] std::string text() const;
    // Whether content for `this` runs where `wanted` is asked for; an unstated variant fits any.
    [[nodiscard]] bool fits(const Platform& wanted) const;

    bool operator==(const Platform&) const = default;
};

struct Descriptor {
    std::string media_type{};
    Digest digest{};
    std::uint64_t size = 0;
    std::optional<Platform> platform{};
    std::vector<std::string> urls{};
    std::map<std::string, std::string> annotations{};

    [[nodiscard]] Kind kind() const { return media_type_of(media_type).kind; }

    bool operator==(const Descriptor&) const = default;
};

[[nodiscard]] Platform read_platform(const JsonNode& node);
[[nodiscard]] Digest read_digest(const JsonNode& node);
[[nodiscard]] Descriptor read_descriptor(const JsonNode& node);
[[nodiscard]] Json to_json(const Platform& platform);
[[nodiscard]] Json to_json(const Descriptor& descriptor);

// A descriptor of a document that is given whole.
[[nodiscard]] Descriptor describe(std::string_view media_type, std::string_view content);

} // namespace strata::image
