// Makes a layer of the store out of an uncompressed archive, computing both of its digests on the way.
#pragma once

#include "image/store/blobs.hpp"

#include <memory>
#include <span>

namespace strata::image {

struct NewLayer {
    Descriptor descriptor; // as stored
    Digest diff_id;        // uncompressed
};

class LayerWriter {
public:
    [[nodiscard]] static Result<LayerWriter> begin(const Blobs& blobs, Compression compression);
    ~LayerWriter();
    LayerWriter(LayerWriter&&) noexcept;
    LayerWriter& operator=(LayerWriter&&) = delete;
    LayerWriter(const LayerWriter&) = delete;
    LayerWriter& operator=(const LayerWriter&) = delete;

    [[nodiscard]] Result<void> write(std::span<const std::byte> data);
    // Ends the layer and stores it under the lease.
    [[nodiscard]] Result<NewLayer> finish(Lease& lease);

private:
    struct State;
    explicit LayerWriter(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace strata::image
