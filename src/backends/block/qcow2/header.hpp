// The header of a qcow2 image, its extensions and its feature bits. QCOW2 image format, sections Header and
// Header extensions.
#pragma once

#include "backends/block/image_file.hpp"
#include "base/bits.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace strata::backends::qcow2 {

inline constexpr std::uint32_t magic = 0x514649FB; // "QFI\xFB"
inline constexpr unsigned min_cluster_bits = 9, max_cluster_bits = 21;

// Tables larger than these are refused, as by other implementations: they are held in memory.
inline constexpr std::uint64_t max_l1_bytes = 32 << 20;
inline constexpr std::uint64_t max_refcount_table_bytes = 8 << 20;

// Incompatible features: a reader that does not know one must not open the image.
inline constexpr std::uint64_t feature_dirty = bit(0); // refcounts may be wrong
inline constexpr std::uint64_t feature_corrupt = bit(1);
inline constexpr std::uint64_t feature_compression_type = bit(3);

enum class Compression : std::uint8_t { zlib = 0, zstd = 1 };

struct Header {
    std::uint32_t version = 3;
    unsigned cluster_bits = 16;
    std::uint64_t size = 0; // of the disk
    std::uint32_t l1_entries = 0;
    std::uint64_t l1_offset = 0;
    std::uint64_t refcount_table_offset = 0;
    std::uint32_t refcount_table_clusters = 0;
    std::uint32_t snapshots = 0;
    std::uint64_t snapshots_offset = 0;
    std::uint64_t incompatible_features = 0, autoclear_features = 0;
    unsigned refcount_order = 4; // a refcount has 2 to the power of this bits
    Compression compression = Compression::zlib;
    std::string backing_file; // empty: none
    std::string backing_format;

    [[nodiscard]] std::uint64_t cluster_size() const { return std::uint64_t{1} << cluster_bits; }

    [[nodiscard]] std::uint64_t cluster_mask() const { return cluster_size() - 1; }

    [[nodiscard]] std::uint64_t l2_entries() const { return cluster_size() / 8; }

    // Guest bytes that one L2 table maps.
    [[nodiscard]] std::uint64_t l2_reach() const { return cluster_size() * l2_entries(); }

    [[nodiscard]] std::uint64_t refcounts_per_block() const { return cluster_size() * 8 >> refcount_order; }
};

[[nodiscard]] bool has_magic(std::span<const std::byte> first_sector);

// Everything that other code relies on is checked here: sizes, alignment, limits, features.
[[nodiscard]] Result<Header> read_header(const ImageFile& file);

// The header of a new image, in its first cluster.
[[nodiscard]] Result<void> write_header(ImageFile& file, const Header& header);

// Single fields of an open image.
[[nodiscard]] Result<void> update_features(ImageFile& file, const Header& header);
[[nodiscard]] Result<void> update_refcount_table(ImageFile& file, const Header& header);

} // namespace strata::backends::qcow2
