// Compression of a stream: gzip (RFC 1952) by zlib, zstd (RFC 8878) by its own library.
#pragma once

#include "base/error.hpp"
#include "image/media_type.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace strata::image {

using Sink = std::function<Result<void>(std::span<const std::byte>)>;

class Compressor {
public:
    Compressor() = default;
    virtual ~Compressor() = default;
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;

    // Hands what is ready to `sink`; with `last` everything.
    [[nodiscard]] virtual Result<void> write(std::span<const std::byte> data, bool last,
                                             const Sink& sink) = 0;
};

[[nodiscard]] std::unique_ptr<Compressor> make_compressor(Compression compression);

} // namespace strata::image
