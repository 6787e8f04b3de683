// Raw images: the disk's bytes, one for one.
#pragma once

#include "backends/block/block.hpp"
#include "backends/block/image_file.hpp"

namespace strata::backends {

enum class RawProbe : bool {
    stated, // the user said that the image is raw
    guessed // no known format was recognised
};

// A size that is no multiple of 512 is rounded up: the disk's last sector is padded with zeros.
[[nodiscard]] Result<std::unique_ptr<BlockBackend>> open_raw(ImageFile file, RawProbe probe);

[[nodiscard]] Result<void> create_raw(const std::string& path, const CreateOptions& options);

[[nodiscard]] Result<ImageInfo> raw_info(const ImageFile& file);

} // namespace strata::backends
