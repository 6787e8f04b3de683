#include "backends/block/qcow2/image.hpp"

#include "backends/block/qcow2/metadata.hpp"

#include <bit>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

namespace strata::backends {

namespace qcow2 {

namespace {

constexpr std::uint64_t default_cluster_size = 65536;
constexpr std::uint64_t sector_size = 512;

Result<std::uint64_t> disk_size(const std::string& path, const CreateOptions& options) {
    if (!options.backing_file) {
        return align_up(options.size, sector_size);
    }
    const auto backing = std::filesystem::path(path).parent_path() / *options.backing_file;
    const auto opened = open_image(backing.string(), {.format = options.backing_format, .read_only = true});
    if (!opened) {
        return std::unexpected(Error{"backing file: " + opened.error().message, opened.error().hint});
    }
    return options.size != 0 ? align_up(options.size, sector_size) : (*opened)->size();
}

Result<Header> plan(const std::string& path, const CreateOptions& options) {
    const auto cluster_size = options.cluster_size != 0 ? options.cluster_size : default_cluster_size;
    const auto cluster_bits = static_cast<unsigned>(std::countr_zero(cluster_size));
    if (!std::has_single_bit(cluster_size) || cluster_bits < min_cluster_bits ||
        cluster_bits > max_cluster_bits) {
        return fail(fmt::format("disk {}: a cluster size of {} is not possible", path, cluster_size),
                    "use a power of two from 512 to 2M");
    }
    if (options.backing_file && options.backing_format.empty()) {
        return fail("disk " + path + ": the backing file's format is not stated",
                    "add its format: raw or qcow2");
    }
    const auto size = disk_size(path, options);
    if (!size) {
        return std::unexpected(size.error());
    }
    Header header;
    header.cluster_bits = cluster_bits;
    header.size = *size;
    header.backing_file = options.backing_file.value_or("");
    header.backing_format = options.backing_file ? options.backing_format : "";
    const auto l1_entries = *size / header.l2_reach() + (*size % header.l2_reach() != 0);
    if (l1_entries * 8 > max_l1_bytes) {
        return fail(fmt::format("disk {}: a disk of {} bytes needs larger clusters", path, *size));
    }
    header.l1_entries = static_cast<std::uint32_t>(l1_entries);
    return header;
}

// The header is in the first cluster, an empty refcount table in the second; whatever follows is allocated.
Result<void> lay_out(ImageFile& file, Header& header) {
    header.refcount_table_offset = header.cluster_size();
    header.refcount_table_clusters = 1;
    if (auto sized = file.resize(2 * header.cluster_size()); !sized) {
        return sized;
    }
    Refcounts refcounts(file, header);
    auto done = refcounts.load();
    for (const std::uint64_t cluster : {0, 1}) {
        done = done ? refcounts.set(cluster, 1) : done;
    }
    if (!done) {
        return done;
    }
    const std::vector<std::byte> l1(
        align_up(std::max(header.l1_entries * std::uint64_t{8}, std::uint64_t{1}), header.cluster_size()));
    const auto table = refcounts.allocate(l1.size() >> header.cluster_bits);
    if (!table) {
        return std::unexpected(table.error());
    }
    header.l1_offset = table->offset;
    if (auto written = file.write(header.l1_offset, l1); !written) {
        return written;
    }
    if (auto written = refcounts.write(); !written) {
        return written;
    }
    // A table that was moved leaves its first place.
    if (auto released = refcounts.apply_releases(); !released) {
        return released;
    }
    return refcounts.write();
}

} // namespace

} // namespace qcow2

Result<void> create_qcow2(const std::string& path, const CreateOptions& options) {
    auto header = qcow2::plan(path, options);
    if (!header) {
        return std::unexpected(header.error());
    }
    auto file = ImageFile::create(path);
    if (!file) {
        return std::unexpected(file.error());
    }
    if (file->is_block_device()) {
        return fail("disk " + path + ": qcow2 on a block device is not written", "use --format raw");
    }
    if (auto done = qcow2::lay_out(*file, *header); !done) {
        return done;
    }
    return qcow2::write_header(*file, *header);
}

Result<ImageInfo> qcow2_info(const ImageFile& file) {
    const auto header = qcow2::read_header(file);
    const auto allocated = file.allocated();
    if (!header || !allocated) {
        return std::unexpected(header ? allocated.error() : header.error());
    }
    return ImageInfo{.format = "qcow2",
                     .virtual_size = header->size,
                     .allocated = *allocated,
                     .cluster_size = header->cluster_size(),
                     .backing_file = header->backing_file,
                     .backing_format = header->backing_format};
}

} // namespace strata::backends
