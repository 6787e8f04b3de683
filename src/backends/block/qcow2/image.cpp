#include "backends/block/qcow2/image.hpp"

#include "backends/block/qcow2/compression.hpp"
#include "backends/block/qcow2/metadata.hpp"
#include "backends/block/qcow2/repair.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

namespace strata::backends {

namespace qcow2 {

namespace {

using Kind = Mapping::Kind;

constexpr unsigned max_depth = 64; // of a chain of backing files

class Image final : public BlockBackend {
public:
    Image(ImageFile file, const Header& header, std::unique_ptr<BlockBackend> backing)
        : file_(std::move(file)), metadata_(file_, header), backing_(std::move(backing)) {}

    ~Image() override {
        if (started_ && !read_only() && check_writable()) {
            // Nobody can be told of an error any more; the image is consistent in any case.
            static_cast<void>(metadata_.commit());
            static_cast<void>(metadata_.refcounts.write());
        }
    }

    Result<void> start();

    [[nodiscard]] std::uint64_t size() const override { return header().size; }

    [[nodiscard]] bool read_only() const override { return file_.access() == ImageFile::Access::read_only; }

    Result<void> read(std::uint64_t offset, std::span<std::byte> to) override;
    Result<void> write(std::uint64_t offset, std::span<const std::byte> from) override;
    Result<void> flush() override;
    Result<void> discard(std::uint64_t offset, std::uint64_t length) override;
    Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] Result<std::uint64_t> zeroes_at(std::uint64_t offset) override;

private:
    // What a writer must put right that the last one left.
    [[nodiscard]] Result<void> make_consistent();

    [[nodiscard]] const Header& header() const { return metadata_.header; }

    [[nodiscard]] std::uint64_t within_cluster(std::uint64_t offset) const {
        return offset & header().cluster_mask();
    }

    // How much of `length` bytes from `offset` on is in the same cluster.
    [[nodiscard]] std::uint64_t rest_of_cluster(std::uint64_t offset, std::uint64_t length) const {
        return std::min(length, header().cluster_size() - within_cluster(offset));
    }

    [[nodiscard]] Result<void> check_writable() const;
    [[nodiscard]] Result<void> note_corruption(Result<void> result);
    [[nodiscard]] Result<std::uint64_t> contiguous(std::uint64_t offset, std::uint64_t length,
                                                   const Mapping& first);
    [[nodiscard]] Result<void> read_mapped(std::uint64_t offset, std::span<std::byte> to,
                                           const Mapping& mapping);
    [[nodiscard]] Result<void> read_backing(std::uint64_t offset, std::span<std::byte> to);
    [[nodiscard]] Result<void> read_compressed(std::uint64_t offset, std::span<std::byte> to,
                                               const Mapping& mapping);
    [[nodiscard]] Result<void> write_in_cluster(std::uint64_t offset, std::span<const std::byte> from);
    [[nodiscard]] Result<void> write_new_cluster(std::uint64_t offset, std::span<const std::byte> from,
                                                 const Mapping& old);
    [[nodiscard]] Result<void> fill_new_cluster(std::uint64_t offset, std::span<const std::byte> from,
                                                const Mapping& old, const Refcounts::Allocation& added);

    [[nodiscard]] bool reads_as_zero(const Mapping& mapping) const {
        return mapping.kind == Kind::zero || (mapping.kind == Kind::unallocated && !backing_);
    }

    // Calls `use(offset, length, whole)` for the part of the range in each cluster; `whole`: all that the
    // disk has of the cluster.
    template <class F>
    Result<void> for_each_cluster(std::uint64_t offset, std::uint64_t length, F use);
    [[nodiscard]] Result<void> give_up_cluster(std::uint64_t offset, bool must_be_zero);
    [[nodiscard]] Result<void> zero_in_cluster(std::uint64_t offset, std::uint64_t length, bool whole);

    ImageFile file_;
    Metadata metadata_;
    std::unique_ptr<BlockBackend> backing_;
    bool started_ = false;
    std::vector<std::byte> cluster_; // one being put together
    std::vector<std::byte> decompressed_;
    std::uint64_t decompressed_host_ = 0; // where its compressed form is; 0: nowhere
};

Result<void> Image::start() {
    auto done = metadata_.load();
    if (done && !read_only()) {
        done = make_consistent();
    }
    started_ = done.has_value();
    return done;
}

Result<void> Image::make_consistent() {
    if (header().incompatible_features & feature_dirty) {
        auto repaired = rebuild_refcounts(file_, metadata_);
        repaired = repaired ? metadata_.commit() : repaired;
        if (!repaired) {
            return repaired;
        }
    }
    if (header().incompatible_features & feature_dirty || header().autoclear_features != 0) {
        metadata_.header.incompatible_features &= ~feature_dirty;
        metadata_.header.autoclear_features = 0; // what they say would not stay true
        return update_features(file_, header());
    }
    return {};
}

Result<void> Image::check_writable() const {
    if (header().incompatible_features & feature_corrupt) {
        return fail("disk " + file_.path() + ": not written any more: it is corrupt");
    }
    return {};
}

// An image found to be wrong is marked, so that no writer makes it worse.
Result<void> Image::note_corruption(Result<void> result) {
    if (!result && metadata_.map.is_corrupt() && !read_only() && header().version >= 3 && check_writable()) {
        metadata_.header.incompatible_features |= feature_corrupt;
        static_cast<void>(update_features(file_, header()));
    }
    return result;
}

// How many bytes from `offset` on, up to `length`, are in the file in a row.
Result<std::uint64_t> Image::contiguous(std::uint64_t offset, std::uint64_t length, const Mapping& first) {
    auto run = rest_of_cluster(offset, length);
    auto expected = first.host + header().cluster_size();
    while (run < length) {
        const auto next = metadata_.map.find(offset + run);
        if (!next) {
            return std::unexpected(next.error());
        }
        if (next->kind != Kind::data || next->host != expected) {
            break;
        }
        expected += header().cluster_size();
        run += rest_of_cluster(offset + run, length - run);
    }
    return run;
}

Result<void> Image::read(std::uint64_t offset, std::span<std::byte> to) {
    while (!to.empty()) {
        const auto mapping = metadata_.map.find(offset);
        if (!mapping) {
            return note_corruption(std::unexpected(mapping.error()));
        }
        Result<std::uint64_t> run = rest_of_cluster(offset, to.size());
        if (mapping->kind == Kind::data) {
            run = contiguous(offset, to.size(), *mapping);
        }
        if (!run) {
            return note_corruption(std::unexpected(run.error()));
        }
        if (auto got = read_mapped(offset, to.first(*run), *mapping); !got) {
            return got;
        }
        offset += *run;
        to = to.subspan(*run);
    }
    return {};
}

Result<void> Image::read_mapped(std::uint64_t offset, std::span<std::byte> to, const Mapping& mapping) {
    switch (mapping.kind) {
    case Kind::data: return file_.read(mapping.host + within_cluster(offset), to);
    case Kind::compressed: return read_compressed(offset, to, mapping);
    case Kind::unallocated: return read_backing(offset, to);
    case Kind::zero: break;
    }
    std::ranges::fill(to, std::byte{0});
    return {};
}

// A backing file may be shorter than the disk.
Result<void> Image::read_backing(std::uint64_t offset, std::span<std::byte> to) {
    const auto there = backing_ ? backing_->size() : 0;
    const auto covered = std::min<std::uint64_t>(to.size(), there - std::min(there, offset));
    std::ranges::fill(to.subspan(covered), std::byte{0});
    return covered == 0 ? Result<void>{} : backing_->read(offset, to.first(covered));
}

Result<void> Image::read_compressed(std::uint64_t offset, std::span<std::byte> to, const Mapping& mapping) {
    if (mapping.host != decompressed_host_) {
        std::vector<std::byte> compressed(mapping.length);
        if (auto got = file_.read(mapping.host, compressed); !got) {
            return got;
        }
        decompressed_host_ = 0;
        decompressed_.resize(header().cluster_size());
        if (!decompress(header().compression, compressed, decompressed_)) {
            return fail(
                fmt::format("disk {}: corrupt: compressed cluster at {:#x}", file_.path(), mapping.host));
        }
        decompressed_host_ = mapping.host;
    }
    std::ranges::copy(std::span(decompressed_).subspan(within_cluster(offset), to.size()), to.begin());
    return {};
}

Result<void> Image::write(std::uint64_t offset, std::span<const std::byte> from) {
    if (auto writable = check_writable(); !writable) {
        return writable;
    }
    while (!from.empty()) {
        const auto length = rest_of_cluster(offset, from.size());
        if (auto written = write_in_cluster(offset, from.first(length)); !written) {
            return note_corruption(std::move(written));
        }
        offset += length;
        from = from.subspan(length);
    }
    return {};
}

Result<void> Image::write_in_cluster(std::uint64_t offset, std::span<const std::byte> from) {
    if (auto room = metadata_.commit_if_full(); !room) {
        return room;
    }
    const auto mapping = metadata_.map.find(offset);
    if (!mapping) {
        return std::unexpected(mapping.error());
    }
    if (mapping->kind == Kind::data && mapping->exclusive) {
        return file_.write(mapping->host + within_cluster(offset), from);
    }
    return write_new_cluster(offset, from, *mapping);
}

Result<void> Image::write_new_cluster(std::uint64_t offset, std::span<const std::byte> from,
                                      const Mapping& old) {
    const auto added = metadata_.refcounts.allocate();
    if (!added) {
        return std::unexpected(added.error());
    }
    auto done = fill_new_cluster(offset, from, old, *added);
    done = done ? metadata_.map.assign_data(offset, added->offset) : done;
    if (!done) {
        metadata_.refcounts.release(added->offset, header().cluster_size());
    }
    return done;
}

// The data, and around it what the cluster held before.
Result<void> Image::fill_new_cluster(std::uint64_t offset, std::span<const std::byte> from,
                                     const Mapping& old, const Refcounts::Allocation& added) {
    const auto at = within_cluster(offset);
    if (from.size() == header().cluster_size() || (added.zeroed && reads_as_zero(old))) {
        return file_.write(added.offset + at, from);
    }
    cluster_.resize(header().cluster_size());
    if (auto got = read_mapped(offset - at, cluster_, old); !got) {
        return got;
    }
    std::ranges::copy(from, cluster_.begin() + static_cast<std::ptrdiff_t>(at));
    return file_.write(added.offset, cluster_);
}

Result<void> Image::flush() {
    if (read_only()) {
        return {};
    }
    const auto writable = check_writable();
    return writable ? metadata_.commit() : writable;
}

template <class F>
Result<void> Image::for_each_cluster(std::uint64_t offset, std::uint64_t length, F use) {
    if (auto writable = check_writable(); !writable) {
        return writable;
    }
    while (length > 0) {
        const auto part = rest_of_cluster(offset, length);
        const bool whole =
            within_cluster(offset) == 0 && (part == header().cluster_size() || offset + part == size());
        auto done = metadata_.commit_if_full();
        done = done ? use(offset, part, whole) : done;
        if (!done) {
            return note_corruption(std::move(done));
        }
        offset += part;
        length -= part;
    }
    return {};
}

// Without a backing file what is unallocated reads as zeros; before version 3 nothing else does.
Result<void> Image::give_up_cluster(std::uint64_t offset, bool must_be_zero) {
    const auto mapping = metadata_.map.find(offset);
    if (!mapping) {
        return std::unexpected(mapping.error());
    }
    if (reads_as_zero(*mapping) && mapping->host == 0) {
        return {};
    }
    if (!backing_) {
        return metadata_.map.assign_unallocated(offset);
    }
    if (header().version >= 3) {
        return mapping->kind == Kind::unallocated && !must_be_zero ? Result<void>{}
                                                                   : metadata_.map.assign_zero(offset);
    }
    if (must_be_zero) {
        const std::vector<std::byte> zeros(rest_of_cluster(offset, size() - offset));
        return write_in_cluster(offset, zeros);
    }
    return {};
}

Result<void> Image::discard(std::uint64_t offset, std::uint64_t length) {
    return for_each_cluster(offset, length, [this](std::uint64_t at, std::uint64_t, bool whole) {
        return whole ? give_up_cluster(at, false) : Result<void>{};
    });
}

Result<void> Image::zero_in_cluster(std::uint64_t offset, std::uint64_t length, bool whole) {
    if (whole) {
        return give_up_cluster(offset, true);
    }
    const auto mapping = metadata_.map.find(offset);
    if (!mapping || reads_as_zero(*mapping)) {
        return mapping ? Result<void>{} : std::unexpected(mapping.error());
    }
    const std::vector<std::byte> zeros(length);
    return write_in_cluster(offset, zeros);
}

Result<void> Image::write_zeroes(std::uint64_t offset, std::uint64_t length) {
    return for_each_cluster(offset, length, [this](std::uint64_t at, std::uint64_t part, bool whole) {
        return zero_in_cluster(at, part, whole);
    });
}

Result<std::uint64_t> Image::zeroes_at(std::uint64_t offset) {
    if (backing_) {
        return 0;
    }
    auto end = offset;
    while (end < size()) {
        if (!metadata_.map.has_table(end)) {
            end = align_down(end, header().l2_reach()) + header().l2_reach();
            continue;
        }
        const auto mapping = metadata_.map.find(end);
        if (!mapping) {
            return std::unexpected(mapping.error());
        }
        if (!reads_as_zero(*mapping)) {
            break;
        }
        end = align_down(end, header().cluster_size()) + header().cluster_size();
    }
    return std::min(end, size()) - offset;
}

// Relative names are relative to the image's folder.
std::string backing_path(const ImageFile& file, const Header& header) {
    constexpr std::string_view scheme = "file:";
    std::string name = header.backing_file;
    if (name.starts_with(scheme)) {
        name = name.substr(scheme.size());
    }
    return (std::filesystem::path(file.path()).parent_path() / name).string();
}

Result<std::unique_ptr<BlockBackend>> open_backing(const ImageFile& file, const Header& header,
                                                   const OpenContext& context) {
    if (header.backing_file.empty()) {
        return nullptr;
    }
    if (context.depth >= max_depth) {
        return fail(fmt::format("disk {}: more than {} backing files in a chain", file.path(), max_depth));
    }
    // Had a guest written this header into a raw image, it would choose what it reads from the host.
    if (context.depth > 0 && context.format_guessed) {
        return fail("disk " + file.path() + ": a backing file of unstated format has a backing file itself",
                    "state the format: qemu-img rebase -u -F qcow2 -b BACKING IMAGE");
    }
    const auto format = header.backing_format.empty() ? "auto" : header.backing_format;
    auto backing =
        open_image_in(backing_path(file, header), {.format = format, .read_only = true}, context.depth + 1);
    if (!backing) {
        backing.error().message =
            fmt::format("disk {}: backing file: {}", file.path(), backing.error().message);
    }
    return backing;
}

Result<void> check_can_write(const ImageFile& file, const Header& header) {
    if (file.is_block_device()) {
        return fail("disk " + file.path() + ": qcow2 on a block device is not written", "open it read-only");
    }
    if (header.incompatible_features & feature_corrupt) {
        return fail("disk " + file.path() + ": is marked as corrupt",
                    "repair it with: qemu-img check -r all, or open it read-only");
    }
    return {};
}

} // namespace

} // namespace qcow2

bool is_qcow2(std::span<const std::byte> first_sector) { return qcow2::has_magic(first_sector); }

Result<std::unique_ptr<BlockBackend>> open_qcow2(ImageFile file, const OpenContext& context) {
    const auto header = qcow2::read_header(file);
    if (!header) {
        return std::unexpected(header.error());
    }
    if (!context.read_only) {
        if (auto can = qcow2::check_can_write(file, *header); !can) {
            return std::unexpected(can.error());
        }
    }
    auto backing = qcow2::open_backing(file, *header, context);
    if (!backing) {
        return std::unexpected(backing.error());
    }
    auto image = std::make_unique<qcow2::Image>(std::move(file), *header, std::move(*backing));
    if (auto started = image->start(); !started) {
        return std::unexpected(started.error());
    }
    return image;
}

} // namespace strata::backends
