#include "image/layer/unpack.hpp"

#include "image/layer/unpacker.hpp"

#include <fmt/format.h>

namespace strata::image {
namespace {

// Counts and hashes what goes through it.
struct Meter {
    Source source;
    Hasher hasher;
    std::string name;
    std::uint64_t most, total = 0;

    Result<std::span<const std::byte>> next() {
        auto piece = source();
        if (!piece) {
            return piece;
        }
        total += piece->size();
        if (total > most) {
            return fail(fmt::format("{} is larger than {} bytes when it is uncompressed", name, most));
        }
        hasher.update(*piece);
        return piece;
    }
};

Result<void> unpack_from(Meter& meter, int directory, const UnpackOptions& options) {
    auto tar = TarReader::open([&meter] { return meter.next(); }, meter.name);
    if (!tar) {
        return std::unexpected(tar.error());
    }
    if (auto unpacked = Unpacker(directory, options).unpack(*tar); !unpacked) {
        auto error = unpacked.error();
        error.message =
            error.message.starts_with(meter.name) ? error.message : meter.name + ": " + error.message;
        return std::unexpected(std::move(error));
    }
    while (true) { // what follows the archive's end mark belongs to the digest
        const auto rest = meter.next();
        if (!rest) {
            return std::unexpected(rest.error());
        }
        if (rest->empty()) {
            return {};
        }
    }
}

} // namespace

Result<void> unpack_layer(int directory, Source source, const Digest& diff_id, const std::string& name,
                          const UnpackOptions& options) {
    auto plain = decompressed(std::move(source), name);
    if (!plain) {
        return std::unexpected(plain.error());
    }
    Meter meter{std::move(*plain), Hasher(diff_id.algorithm()), name, options.most_bytes};
    if (auto unpacked = unpack_from(meter, directory, options); !unpacked) {
        return unpacked;
    }
    if (const auto digest = meter.hasher.digest(); digest != diff_id) {
        return fail(
            fmt::format("{} has the digest {} when it is uncompressed, not {} as the configuration says",
                        name, digest.text(), diff_id.text()),
            "the image is damaged or forged: pull or build it again");
    }
    return {};
}

Result<void> unpack_archive(int directory, Source source, const std::string& name,
                            const UnpackOptions& options) {
    auto plain = decompressed(std::move(source), name);
    if (!plain) {
        return std::unexpected(plain.error());
    }
    Meter meter{std::move(*plain), Hasher("sha256"), name, options.most_bytes};
    return unpack_from(meter, directory, options);
}

} // namespace strata::image
