// Image manifests and indexes: OCI image specification, "Image Manifest" and "Image Index"; Docker's schema 2
// has the same members under other media types.
#pragma once

#include "image/descriptor.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace strata::image {

// No document of the specifications comes near; registries refuse larger manifests, too.
inline constexpr std::uint64_t largest_document = 4U << 20;

struct Manifest {
    std::string media_type{media_type::oci_manifest};
    Descriptor config{};
    std::vector<Descriptor> layers{}; // the lowest first
    std::map<std::string, std::string> annotations{};

    // `media_type` is what the descriptor or the registry said; `what` begins messages.
    [[nodiscard]] static Result<Manifest> parse(std::string_view text, std::string_view media_type,
                                                std::string_view what);
    [[nodiscard]] std::string text() const;
};

struct Index {
    std::string media_type{media_type::oci_index};
    std::vector<Descriptor> manifests{};
    std::map<std::string, std::string> annotations{};

    [[nodiscard]] static Result<Index> parse(std::string_view text, std::string_view media_type,
                                             std::string_view what);
    [[nodiscard]] std::string text() const;

    // The manifest to use on `platform`; `what` begins the message when there is none.
    [[nodiscard]] Result<Descriptor> choose(const Platform& platform, std::string_view what) const;
};

// The media type a document states itself, or what its members show it to be; empty when it is neither.
[[nodiscard]] std::string detect_media_type(std::string_view text);

} // namespace strata::image
