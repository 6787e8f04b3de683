// Names of images: REGISTRY/REPOSITORY[:TAG][@DIGEST], by the distribution specification's grammar, and
// Docker's short form of them.
#pragma once

#include "image/digest.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::image {

inline constexpr std::string_view docker_hub = "docker.io";

struct Reference {
    std::string registry;   // host[:port]
    std::string repository; // "library/debian"
    std::string tag;        // empty only when there is a digest
    std::optional<Digest> digest{};

    // A complete name: the registry is stated, or Docker Hub; the tag "latest" where neither tag nor digest
    // is.
    [[nodiscard]] static Result<Reference> parse(std::string_view text);

    // REGISTRY/REPOSITORY
    [[nodiscard]] std::string name() const { return registry + "/" + repository; }

    // The whole, from which parse() makes the same again.
    [[nodiscard]] std::string text() const;
    // As people write it: "debian:12" for docker.io/library/debian:12.
    [[nodiscard]] std::string familiar() const;
    // Likewise without tag and digest.
    [[nodiscard]] std::string familiar_name() const;

    bool operator==(const Reference&) const = default;
};

// Whether the text says which registry is meant: "quay.io/x" does, "debian" and "library/debian" do not.
[[nodiscard]] bool names_registry(std::string_view text);

// The complete names a text may stand for: itself, or, when it names no registry, one a registry of `search`.
[[nodiscard]] Result<std::vector<Reference>> candidates(std::string_view text,
                                                        const std::vector<std::string>& search);

} // namespace strata::image
