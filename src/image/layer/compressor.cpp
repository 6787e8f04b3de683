#include "image/layer/compressor.hpp"

#include <algorithm>
#include <limits>
#include <vector>
#include <zlib.h>
#include <zstd.h>

namespace strata::image {
namespace {

class Gzip : public Compressor {
public:
    Gzip() {
        constexpr int gzip_format = 16; // added to the window's size, see deflateInit2
        deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + gzip_format, 8,
                     Z_DEFAULT_STRATEGY);
    }

    ~Gzip() override { deflateEnd(&stream_); }

    Result<void> write(std::span<const std::byte> data, bool last, const Sink& sink) override {
        do {
            const auto piece =
                data.first(std::min<std::size_t>(data.size(), std::numeric_limits<uInt>::max()));
            data = data.subspan(piece.size());
            // zlib's interface lacks a const that it keeps.
            stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(piece.data()));
            stream_.avail_in = static_cast<uInt>(piece.size());
            if (auto done = deflate_all(last && data.empty() ? Z_FINISH : Z_NO_FLUSH, sink); !done) {
                return done;
            }
        } while (!data.empty());
        return {};
    }

private:
    Result<void> deflate_all(int flush, const Sink& sink) {
        do {
            stream_.next_out = reinterpret_cast<Bytef*>(output_.data());
            stream_.avail_out = static_cast<uInt>(output_.size());
            deflate(&stream_, flush);
            const auto ready = std::span<const std::byte>(output_).first(output_.size() - stream_.avail_out);
            if (auto written = sink(ready); !written) {
                return written;
            }
        } while (stream_.avail_out == 0);
        return {};
    }

    z_stream stream_{};
    std::vector<std::byte> output_ = std::vector<std::byte>(256U << 10);
};

class Zstandard : public Compressor {
public:
    Zstandard() : context_(ZSTD_createCCtx()) { ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1); }

    ~Zstandard() override { ZSTD_freeCCtx(context_); }

    Result<void> write(std::span<const std::byte> data, bool last, const Sink& sink) override {
        ZSTD_inBuffer input{data.data(), data.size(), 0};
        std::size_t left = 0;
        do {
            ZSTD_outBuffer output{output_.data(), output_.size(), 0};
            left = ZSTD_compressStream2(context_, &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
            if (ZSTD_isError(left) != 0) {
                return fail(std::string("cannot compress a layer: ") + ZSTD_getErrorName(left));
            }
            if (auto written = sink(std::span<const std::byte>(output_).first(output.pos)); !written) {
                return written;
            }
        } while (input.pos < input.size || (last && left != 0));
        return {};
    }

private:
    ZSTD_CCtx* context_;
    std::vector<std::byte> output_ = std::vector<std::byte>(ZSTD_CStreamOutSize());
};

class Uncompressed : public Compressor {
public:
    Result<void> write(std::span<const std::byte> data, bool /*last*/, const Sink& sink) override {
        return sink(data);
    }
};

} // namespace

std::unique_ptr<Compressor> make_compressor(Compression compression) {
    switch (compression) {
    case Compression::gzip: return std::make_unique<Gzip>();
    case Compression::zstd: return std::make_unique<Zstandard>();
    case Compression::none: break;
    }
    return std::make_unique<Uncompressed>();
}

} // namespace strata::image
