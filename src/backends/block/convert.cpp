#include "backends/block/block.hpp"
#include "backends/block/formats.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace strata::backends {

namespace {

constexpr std::size_t chunk_size = 1 << 20;
constexpr std::size_t grain = 4096; // zeros are left out in pieces of this size

bool is_zero(std::span<const std::byte> bytes) {
    return bytes.empty() || (bytes.front() == std::byte{0} &&
                             std::ranges::equal(bytes.subspan(1), bytes.first(bytes.size() - 1)));
}

// Writes what is not zero, as long runs as possible: the new image reads as zeros already.
Result<void> write_data(BlockBackend& to, std::uint64_t offset, std::span<const std::byte> bytes) {
    std::size_t begin = 0;
    while (begin < bytes.size()) {
        std::size_t end = begin;
        while (end < bytes.size() && !is_zero(bytes.subspan(end, std::min(grain, bytes.size() - end)))) {
            end += std::min(grain, bytes.size() - end);
        }
        if (auto written = to.write(offset + begin, bytes.subspan(begin, end - begin)); !written) {
            return written;
        }
        begin = std::min(bytes.size(), std::max(end, begin) + grain);
    }
    return {};
}

Result<void> copy(BlockBackend& from, BlockBackend& to, const Progress& progress) {
    const auto total = from.size();
    std::vector<std::byte> buffer(chunk_size);
    for (std::uint64_t offset = 0; offset < total;) {
        const auto zeroes = from.zeroes_at(offset);
        if (!zeroes) {
            return std::unexpected(zeroes.error());
        }
        offset += std::min(*zeroes, total - offset);
        const auto chunk = std::span(buffer).first(std::min<std::uint64_t>(chunk_size, total - offset));
        if (auto got = from.read(offset, chunk); !got) {
            return got;
        }
        if (auto written = write_data(to, offset, chunk); !written) {
            return written;
        }
        offset += chunk.size();
        if (!progress(offset, total)) {
            return std::unexpected(Error{"interrupted; nothing was changed", {}, ECANCELED});
        }
    }
    return to.flush();
}

} // namespace

Result<void> convert_image(const std::string& from, const OpenOptions& open, const std::string& to,
                           const CreateOptions& options, const Progress& progress) {
    auto source = open_image(from, {.format = open.format, .read_only = true});
    if (!source) {
        return std::unexpected(source.error());
    }
    std::error_code ignored;
    if (std::filesystem::equivalent(from, to, ignored)) {
        return fail("disk " + to + ": an image cannot be converted onto itself", "choose another name");
    }
    auto create = options;
    create.size = (*source)->size();
    return make_image(to, create, [&](const std::string& path) {
        auto target = open_image(path, {.format = options.format});
        return target ? copy(**source, **target, progress) : std::unexpected(target.error());
    });
}

} // namespace strata::backends
