#include "backends/block/raw.hpp"

#include "backends/block/formats.hpp"
#include "base/bits.hpp"

#include <algorithm>

namespace strata::backends {

namespace {

constexpr std::uint64_t sector_size = 512;

class RawImage final : public BlockBackend {
public:
    RawImage(ImageFile file, std::uint64_t size, RawProbe probe)
        : file_(std::move(file)), size_(size), probe_(probe) {}

    [[nodiscard]] std::uint64_t size() const override { return size_; }

    [[nodiscard]] bool read_only() const override { return file_.access() == ImageFile::Access::read_only; }

    [[nodiscard]] bool concurrent() const override { return true; }

    Result<void> read(std::uint64_t offset, std::span<std::byte> to) override {
        return file_.read(offset, to);
    }

    Result<void> write(std::uint64_t offset, std::span<const std::byte> from) override {
        if (probe_ == RawProbe::guessed && offset < sector_size) {
            if (auto checked = check_disguise(offset, from); !checked) {
                return checked;
            }
        }
        return file_.write(offset, from);
    }

    Result<void> flush() override { return file_.flush(); }

    Result<void> discard(std::uint64_t offset, std::uint64_t length) override {
        return file_.discard(offset, length);
    }

    Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length) override {
        return file_.write_zeroes(offset, length);
    }

    Result<std::uint64_t> zeroes_at(std::uint64_t offset) override { return file_.hole_at(offset); }

private:
    // A guest that writes another format's header into an image whose format was guessed would choose, at the
    // next start, which host files are read as its backing file.
    Result<void> check_disguise(std::uint64_t offset, std::span<const std::byte> from) const {
        std::array<std::byte, sector_size> sector{};
        if (auto got = file_.read(0, sector); !got) {
            return got;
        }
        const auto changed = std::min<std::size_t>(from.size(), sector_size - offset);
        std::ranges::copy(from.first(changed), sector.begin() + static_cast<std::ptrdiff_t>(offset));
        if (probe_format(sector) != "raw") {
            return fail("disk " + file_.path() +
                            ": the guest may not write another format's header into an image "
                            "whose format was guessed",
                        "state the format: format=raw");
        }
        return {};
    }

    ImageFile file_;
    std::uint64_t size_;
    RawProbe probe_;
};

} // namespace

Result<std::unique_ptr<BlockBackend>> open_raw(ImageFile file, RawProbe probe) {
    const auto size = file.size();
    if (!size) {
        return std::unexpected(size.error());
    }
    return std::make_unique<RawImage>(std::move(file), align_up(*size, sector_size), probe);
}

Result<void> create_raw(const std::string& path, const CreateOptions& options) {
    if (options.backing_file) {
        return fail("disk " + path + ": a raw image cannot have a backing file", "use --format qcow2");
    }
    auto file = ImageFile::create(path);
    if (!file) {
        return std::unexpected(file.error());
    }
    if (file->is_block_device()) {
        return {};
    }
    return file->resize(options.size);
}

Result<ImageInfo> raw_info(const ImageFile& file) {
    const auto size = file.size();
    const auto allocated = file.allocated();
    if (!size || !allocated) {
        return std::unexpected(size ? allocated.error() : size.error());
    }
    ImageInfo info;
    info.format = "raw";
    info.virtual_size = align_up(*size, sector_size);
    info.allocated = *allocated;
    return info;
}

} // namespace strata::backends
