#include "backends/block/qcow2/cluster_map.hpp"

#include "base/bytes.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace strata::backends::qcow2 {

namespace {

constexpr std::size_t cached_pieces = 1024, cached_piece_size = 4096;

// Of L1 and standard L2 entries.
constexpr std::uint64_t offset_mask = 0x00FF'FFFF'FFFF'FE00;
constexpr std::uint64_t flag_copied = bit(63); // the cluster's refcount is exactly 1
// Of L2 entries.
constexpr std::uint64_t flag_compressed = bit(62);
constexpr std::uint64_t flag_zero = bit(0); // version 3
constexpr std::uint64_t sector_size = 512;

} // namespace

ClusterMap::ClusterMap(ImageFile& file, const Header& header, Refcounts& refcounts)
    : file_(file), header_(header), refcounts_(refcounts),
      tables_(file, std::min<std::size_t>(header.cluster_size(), cached_piece_size), cached_pieces) {}

Result<void> ClusterMap::load() {
    std::vector<std::byte> bytes(header_.l1_entries * std::size_t{8});
    if (auto got = file_.read(header_.l1_offset, bytes); !got) {
        return got;
    }
    l1_.resize(header_.l1_entries);
    for (std::size_t i = 0; i < l1_.size(); ++i) {
        l1_[i] = load_be<std::uint64_t>(&bytes[i * 8]);
    }
    return {};
}

std::unexpected<Error> ClusterMap::corrupt(std::string_view what, std::uint64_t where) {
    corrupt_ = true;
    return fail(fmt::format("disk {}: corrupt: {} at {:#x} is misplaced", file_.path(), what, where),
                "repair it with: qemu-img check -r all");
}

bool ClusterMap::is_reserved(std::uint64_t host, std::uint64_t length) const {
    const auto overlaps = [&](std::uint64_t table, std::uint64_t table_length) {
        return host < table + table_length && table < host + length;
    };
    return overlaps(0, header_.cluster_size()) || overlaps(header_.l1_offset, l1_.size() * 8) ||
           overlaps(header_.refcount_table_offset, header_.refcount_table_clusters * header_.cluster_size());
}

bool ClusterMap::is_misplaced(std::uint64_t host) const {
    return (host & header_.cluster_mask()) != 0 || (host != 0 && is_reserved(host, header_.cluster_size()));
}

Result<std::uint64_t> ClusterMap::table_offset(std::uint64_t index) {
    const auto offset = l1_[index] & offset_mask;
    if (is_misplaced(offset)) {
        return corrupt("L2 table", offset);
    }
    return offset;
}

Result<Mapping> ClusterMap::understand(std::uint64_t entry) {
    if (entry & flag_compressed) {
        // The offset's width depends on the cluster size; above it are the sectors besides the first.
        const unsigned offset_bits = 62 - (header_.cluster_bits - 8);
        const auto host = bits(entry, offset_bits - 1, 0);
        const auto sectors = bits(entry, 61, offset_bits) + 1;
        const auto length = sectors * sector_size - host % sector_size;
        if (is_reserved(host, length)) {
            return corrupt("compressed cluster", host);
        }
        return Mapping{Mapping::Kind::compressed, host, length, false};
    }
    const auto host = entry & offset_mask;
    if (is_misplaced(host)) {
        return corrupt("cluster", host);
    }
    const bool zero = header_.version >= 3 && (entry & flag_zero);
    const auto kind = zero        ? Mapping::Kind::zero
                      : host != 0 ? Mapping::Kind::data
                                  : Mapping::Kind::unallocated;
    return Mapping{kind, host, host != 0 ? header_.cluster_size() : 0, (entry & flag_copied) != 0};
}

Result<Mapping> ClusterMap::find(std::uint64_t guest) {
    const auto table = table_offset(l1_index(guest));
    if (!table) {
        return std::unexpected(table.error());
    }
    if (*table == 0) {
        return Mapping{};
    }
    const auto entry = tables_.load(entry_offset(*table, guest));
    if (!entry) {
        return std::unexpected(entry.error());
    }
    return understand(*entry);
}

Result<std::uint64_t> ClusterMap::own_table(std::uint64_t guest) {
    const auto index = l1_index(guest);
    const auto old = table_offset(index);
    if (!old || (*old != 0 && (l1_[index] & flag_copied))) {
        return old;
    }
    const auto added = refcounts_.allocate();
    if (!added) {
        return std::unexpected(added.error());
    }
    std::vector<std::byte> content(header_.cluster_size());
    if (*old != 0) { // a snapshot uses it too
        if (auto got = file_.read(*old, content); !got) {
            return std::unexpected(got.error());
        }
        refcounts_.release(*old, header_.cluster_size());
    }
    if (auto written = file_.write(added->offset, content); !written) {
        return std::unexpected(written.error());
    }
    tables_.forget(added->offset, header_.cluster_size());
    l1_[index] = added->offset | flag_copied;
    changed_l1_.insert(index);
    return added->offset;
}

Result<void> ClusterMap::assign(std::uint64_t guest, std::uint64_t entry) {
    const auto before = find(guest);
    if (!before) {
        return std::unexpected(before.error());
    }
    const auto table = own_table(guest);
    if (!table) {
        return std::unexpected(table.error());
    }
    if (auto stored = tables_.store(entry_offset(*table, guest), entry); !stored) {
        return stored;
    }
    if (before->host != 0) {
        refcounts_.release(before->host, before->length);
    }
    return {};
}

Result<void> ClusterMap::assign_data(std::uint64_t guest, std::uint64_t host) {
    return assign(guest, host | flag_copied);
}

Result<void> ClusterMap::assign_zero(std::uint64_t guest) { return assign(guest, flag_zero); }

Result<void> ClusterMap::assign_unallocated(std::uint64_t guest) { return assign(guest, 0); }

bool ClusterMap::wants_writing() const { return tables_.changed() >= cached_pieces; }

Result<void> ClusterMap::write() {
    if (auto written = tables_.write_changed(); !written || changed_l1_.empty()) {
        return written;
    }
    // A table is complete before the L1 table leads to it.
    if (auto flushed = file_.flush(); !flushed) {
        return flushed;
    }
    for (const auto index : changed_l1_) {
        std::array<std::byte, 8> entry{};
        store_be(entry.data(), l1_[index]);
        if (auto written = file_.write(header_.l1_offset + index * 8, entry); !written) {
            return written;
        }
    }
    changed_l1_.clear();
    return {};
}

} // namespace strata::backends::qcow2
