// The image formats, as one table: what recognises, opens, describes and makes each.
#pragma once

#include "backends/block/block.hpp"
#include "backends/block/image_file.hpp"

#include <functional>

namespace strata::backends {

// Images under an image, counted so that a chain of backing files ends.
struct OpenContext {
    bool read_only = false;
    bool format_guessed = false;
    unsigned depth = 0;
};

struct Format {
    std::string_view name;
    bool (*recognise)(std::span<const std::byte> first_sector);
    Result<std::unique_ptr<BlockBackend>> (*open)(ImageFile file, const OpenContext& context);
    Result<ImageInfo> (*info)(const ImageFile& file);
    Result<void> (*create)(const std::string& path, const CreateOptions& options);
};

[[nodiscard]] std::span<const Format> formats();
[[nodiscard]] Result<const Format*> find_format(std::string_view name);

// The name of the format that the first sector shows; "raw" when no other does.
[[nodiscard]] std::string_view probe_format(std::span<const std::byte> first_sector);

// create_image(), and `fill` with the new image's path before it gets its name.
[[nodiscard]] Result<void> make_image(const std::string& path, const CreateOptions& options,
                                      const std::function<Result<void>(const std::string&)>& fill);

// open_image() within a chain of backing files.
[[nodiscard]] Result<std::unique_ptr<BlockBackend>> open_image_in(const std::string& path,
                                                                  const OpenOptions& options, unsigned depth);

} // namespace strata::backends
