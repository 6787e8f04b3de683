// A store of images on this host: an OCI image layout with, beside it, unpacked layers and leases.
//
//   oci-layout, index.json, blobs/    the layout, readable by any tool
//   layers/ALGORITHM/HEX              layers unpacked, by chain ID
//   ingest/ leases/ pins/ lock trash/ what is on its way in, in use, or on its way out
#pragma once

#include "image/config.hpp"
#include "image/manifest.hpp"
#include "image/store/blobs.hpp"
#include "image/store/images.hpp"
#include "image/store/lease.hpp"

#include <string>
#include <vector>

namespace strata::image {

// An image of one platform, its documents read.
struct Image {
    Descriptor target; // of the manifest
    Manifest manifest;
    Config config;

    // What `strata images` shows: the digest of the configuration.
    [[nodiscard]] const Digest& id() const { return manifest.config.digest; }

    // Of the layers as they are stored.
    [[nodiscard]] std::uint64_t size() const;
};

class Store {
public:
    // Opens the store, or makes an empty one.
    [[nodiscard]] static Result<Store> open(const std::string& directory);
    // /var/lib/strata/images, or the user's own data directory.
    [[nodiscard]] static std::string default_directory();

    [[nodiscard]] const std::string& directory() const { return directory_; }

    [[nodiscard]] const Blobs& blobs() const { return blobs_; }

    [[nodiscard]] Result<Lease> lease() const { return Lease::take(directory_); }

    [[nodiscard]] Result<ImageEntries> entries() const { return read_images(directory_); }

    [[nodiscard]] Result<void> update(const std::function<Result<void>(ImageEntries&)>& change) const {
        return update_images(directory_, change);
    }

    [[nodiscard]] Result<void> name_image(ImageEntry entry) const;

    // Follows an index to the manifest for `platform`, and reads what belongs to it. `what` begins messages.
    [[nodiscard]] Result<Image> load(const Descriptor& target, const Platform& platform,
                                     std::string_view what) const;
    // Every image below `target` that is here: one, or an index's.
    [[nodiscard]] Result<std::vector<Image>> load_all(const Descriptor& target, std::string_view what) const;

    // The entry a user means by `text`: a name, an ID or the beginning of one, or NAME@DIGEST.
    [[nodiscard]] Result<ImageEntry> find(const std::string& text,
                                          const std::vector<std::string>& search) const;

private:
    explicit Store(std::string directory) : directory_(std::move(directory)), blobs_(directory_) {}

    [[nodiscard]] Result<Image> load_manifest(const Descriptor& target, std::string_view what) const;
    [[nodiscard]] Result<std::optional<ImageEntry>> find_id(const ImageEntries& entries,
                                                            const std::string& text) const;

    std::string directory_;
    Blobs blobs_;
};

} // namespace strata::image
