#include "backends/block/qcow2/compression.hpp"

#include <memory>
#include <zlib.h>
#include <zstd.h>

namespace strata::backends::qcow2 {

namespace {

bool inflate_raw(std::span<const std::byte> compressed, std::span<std::byte> cluster) {
    z_stream stream{};
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());
    stream.next_out = reinterpret_cast<Bytef*>(cluster.data());
    stream.avail_out = static_cast<uInt>(cluster.size());
    constexpr int raw_with_any_window = -15;
    if (inflateInit2(&stream, raw_with_any_window) != Z_OK) {
        return false;
    }
    const int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0;
}

bool decompress_zstd(std::span<const std::byte> compressed, std::span<std::byte> cluster) {
    const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
    ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
    ZSTD_outBuffer out{cluster.data(), cluster.size(), 0};
    while (context != nullptr && out.pos < out.size) {
        const auto before = std::pair(in.pos, out.pos);
        const auto result = ZSTD_decompressStream(context.get(), &out, &in);
        if (ZSTD_isError(result) || std::pair(in.pos, out.pos) == before) {
            return false;
        }
    }
    return context != nullptr;
}

} // namespace

bool decompress(Compression type, std::span<const std::byte> compressed, std::span<std::byte> cluster) {
    return type == Compression::zstd ? decompress_zstd(compressed, cluster)
                                     : inflate_raw(compressed, cluster);
}

} // namespace strata::backends::qcow2
