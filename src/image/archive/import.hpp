// An image out of a root file system in a tar file.
#pragma once

#include "image/layer/archive_reader.hpp"
#include "image/store/store.hpp"

#include <optional>

namespace strata::image {

struct ImportOptions {
    std::optional<Reference> name{};
    Platform platform = Platform::host();
    RunConfig run{};
    std::string message{"Imported from -"};
    Compression compression = Compression::gzip;
};

[[nodiscard]] Result<ImageEntry> import_root(const Store& store, Source source, const std::string& what,
                                             const ImportOptions& options);

// Stores the documents of an image whose layers are stored, and names it.
[[nodiscard]] Result<ImageEntry> add_image(const Store& store, Lease& lease, const Manifest& manifest,
                                           const Config& config, std::optional<Reference> name);

} // namespace strata::image
