// An image in the making. It is written under a name beside its own, so that its own name stands for a whole
// image or for what was there before.
#pragma once

#include "backends/block/image_file.hpp"

#include <optional>
#include <string>

namespace strata::backends {

class NewImage {
public:
    // What is at `path` already is refused, or with `replace` locked until the end, so that no machine's disk
    // is taken away. A block device is written in place.
    [[nodiscard]] static Result<NewImage> begin(const std::string& path, bool replace);
    NewImage(NewImage&& other) noexcept;
    NewImage& operator=(NewImage&&) = delete;
    // Without finish(), nothing is left.
    ~NewImage();

    // Where to write it.
    [[nodiscard]] const std::string& path() const { return aside_.empty() ? path_ : aside_; }

    // The image is whole: gives it its name, unless someone else has taken that meanwhile.
    [[nodiscard]] Result<void> finish();

private:
    NewImage(std::string path, std::string aside, std::optional<ImageFile> replaced)
        : path_(std::move(path)), aside_(std::move(aside)), replaced_(std::move(replaced)) {}

    std::string path_, aside_; // without an aside: written in place
    std::optional<ImageFile> replaced_;
};

} // namespace strata::backends
