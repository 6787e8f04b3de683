#include "image/layer/layer_writer.hpp"

#include "image/layer/compressor.hpp"

namespace strata::image {

struct LayerWriter::State {
    BlobWriter blob;
    Compression compression;
    std::unique_ptr<Compressor> compressor = make_compressor(compression);
    Hasher uncompressed{};

    Result<void> write(std::span<const std::byte> data, bool last) {
        uncompressed.update(data);
        return compressor->write(data, last,
                                 [this](std::span<const std::byte> ready) { return blob.write(ready); });
    }
};

LayerWriter::LayerWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

LayerWriter::~LayerWriter() = default;
LayerWriter::LayerWriter(LayerWriter&&) noexcept = default;

Result<LayerWriter> LayerWriter::begin(const Blobs& blobs, Compression compression) {
    auto blob = blobs.begin();
    if (!blob) {
        return std::unexpected(blob.error());
    }
    return LayerWriter(std::make_unique<State>(State{std::move(*blob), compression}));
}

Result<void> LayerWriter::write(std::span<const std::byte> data) { return state_->write(data, false); }

Result<NewLayer> LayerWriter::finish(Lease& lease) {
    if (auto ended = state_->write({}, true); !ended) {
        return std::unexpected(ended.error());
    }
    const auto size = state_->blob.size();
    auto digest = state_->blob.commit(lease);
    if (!digest) {
        return std::unexpected(digest.error());
    }
    return NewLayer{.descriptor = {.media_type = std::string(layer_media_type(state_->compression)),
                                   .digest = std::move(*digest),
                                   .size = size},
                    .diff_id = state_->uncompressed.digest()};
}

} // namespace strata::image
