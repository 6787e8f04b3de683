// Unpacks a layer: OCI image specification, "Image Layer Filesystem Changeset". The archive is hostile:
// whatever it says, nothing outside the target directory is touched, and what it may cost is bounded.
#pragma once

#include "image/digest.hpp"
#include "image/layer/archive_reader.hpp"

#include <cstdint>
#include <string>

namespace strata::image {

// What becomes of the entries by which a layer removes files of lower ones.
enum class Whiteouts {
    overlay,      // overlayfs's own marks, in a directory that holds this layer alone; needs root
    user_overlay, // the same for a mount with the option userxattr, in a user namespace
    apply,        // the lower layers are in the same directory: their files are removed
    none,         // the archive is no layer: such names are files' like others
};

struct UnpackOptions {
    Whiteouts whiteouts = Whiteouts::overlay;
    // What only root can make: owners are the archive's, else the caller's; devices are made, else left out.
    bool owners = true, devices = true;
    std::uint64_t most_bytes = 64ULL << 30; // of the archive uncompressed, and of its files with their holes
    std::uint64_t most_entries = 4'000'000;
};

// Unpacks the archive that `source` gives, compressed or not, into the open directory. The digest of the
// archive uncompressed must be `diff_id`. After an error the directory holds a part, which the caller
// removes. `name` begins messages.
[[nodiscard]] Result<void> unpack_layer(int directory, Source source, const Digest& diff_id,
                                        const std::string& name, const UnpackOptions& options);

// The same for an archive that nobody knows the digest of.
[[nodiscard]] Result<void> unpack_archive(int directory, Source source, const std::string& name,
                                          const UnpackOptions& options);

} // namespace strata::image
