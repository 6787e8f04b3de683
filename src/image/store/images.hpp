// The names of a store's images: the index.json of an OCI image layout, in which a manifest's annotation
// org.opencontainers.image.ref.name holds the complete name. Other tools read the store as a layout.
#pragma once

#include "image/descriptor.hpp"
#include "image/reference.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace strata::image {

struct ImageEntry {
    Descriptor target;               // a manifest, or an index with all its manifests
    std::optional<Reference> name{}; // none for an image that lost its name to a newer one
    std::optional<Digest>
        repository_digest{}; // by which the registry knows it, an index's for a multi-platform image
};

using ImageEntries = std::vector<ImageEntry>;

[[nodiscard]] Result<ImageEntries> read_images(const std::string& store);

// Changes the entries; two processes' changes follow each other. When `change` fails nothing is written.
[[nodiscard]] Result<void> update_images(const std::string& store,
                                         const std::function<Result<void>(ImageEntries&)>& change);

// Gives `entry.target` the name; an image that had it, and no other, stays without a name.
void set_name(ImageEntries& entries, ImageEntry entry);

} // namespace strata::image
