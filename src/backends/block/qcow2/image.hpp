// Qcow2 images, versions 2 and 3: disks that grow as they are written, over other disks if wanted.
#pragma once

#include "backends/block/block.hpp"
#include "backends/block/formats.hpp"

namespace strata::backends {

[[nodiscard]] bool is_qcow2(std::span<const std::byte> first_sector);
[[nodiscard]] Result<std::unique_ptr<BlockBackend>> open_qcow2(ImageFile file, const OpenContext& context);
[[nodiscard]] Result<ImageInfo> qcow2_info(const ImageFile& file);
[[nodiscard]] Result<void> create_qcow2(const std::string& path, const CreateOptions& options);

} // namespace strata::backends
