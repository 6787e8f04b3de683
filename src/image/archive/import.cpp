#include "image/archive/import.hpp"

#include "image/layer/layer_writer.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace strata::image {
namespace {

constexpr std::size_t tar_block = 512, magic_offset = 257;

bool is_tar(std::span<const std::byte> block) {
    const bool empty = std::ranges::all_of(block, [](std::byte b) { return b == std::byte{0}; });
    return empty || std::memcmp(block.data() + magic_offset, "ustar", 5) == 0;
}

// Copies the stream into a layer; its first block must be a tar archive's.
Result<NewLayer> copy_layer(LayerWriter& writer, const Source& source, const std::string& what,
                            Lease& lease) {
    std::vector<std::byte> first;
    while (true) {
        const auto piece = source();
        if (!piece) {
            return std::unexpected(piece.error());
        }
        if (first.size() < tar_block) {
            const auto wanted = std::min(tar_block - first.size(), piece->size());
            first.insert(first.end(), piece->begin(), piece->begin() + static_cast<std::ptrdiff_t>(wanted));
            const bool complete = first.size() == tar_block;
            if ((complete && !is_tar(first)) || (!complete && piece->empty())) {
                return fail(fmt::format("{} is not a tar archive", what));
            }
        }
        if (piece->empty()) {
            return writer.finish(lease);
        }
        if (auto written = writer.write(*piece); !written) {
            return std::unexpected(written.error());
        }
    }
}

} // namespace

Result<ImageEntry> add_image(const Store& store, Lease& lease, const Manifest& base, const Config& config,
                             std::optional<Reference> name) {
    const auto config_text = config.text();
    Manifest manifest = base;
    manifest.config = describe(media_type::oci_config, config_text);
    const auto manifest_text = manifest.text();
    ImageEntry entry{.target = describe(media_type::oci_manifest, manifest_text), .name = std::move(name)};
    entry.target.platform = config.platform;
    for (const auto& [digest, text] :
         {std::pair(manifest.config.digest, config_text), std::pair(entry.target.digest, manifest_text)}) {
        if (auto written = store.blobs().write_document(digest, text, lease); !written) {
            return std::unexpected(written.error());
        }
    }
    if (auto named = store.name_image(entry); !named) {
        return std::unexpected(named.error());
    }
    return entry;
}

Result<ImageEntry> import_root(const Store& store, Source source, const std::string& what,
                               const ImportOptions& options) {
    auto lease = store.lease();
    if (!lease) {
        return std::unexpected(lease.error());
    }
    const auto plain = decompressed(std::move(source), what);
    if (!plain) {
        return std::unexpected(plain.error());
    }
    auto writer = LayerWriter::begin(store.blobs(), options.compression);
    if (!writer) {
        return std::unexpected(writer.error());
    }
    const auto layer = copy_layer(*writer, *plain, what, *lease);
    if (!layer) {
        return std::unexpected(layer.error());
    }
    auto config = Config::make(options.platform);
    config.run = options.run;
    config.add_layer(layer->diff_id, {.created = config.created, .comment = options.message});
    Manifest manifest;
    manifest.layers.push_back(layer->descriptor);
    return add_image(store, *lease, manifest, config, options.name);
}

} // namespace strata::image
