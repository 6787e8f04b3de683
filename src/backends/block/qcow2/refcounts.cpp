#include "backends/block/qcow2/refcounts.hpp"

#include "base/bytes.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace strata::backends::qcow2 {

namespace {

constexpr std::size_t cached_pieces = 256, cached_piece_size = 4096;
constexpr std::size_t max_releases = 65536;

// Refcounts of less than a byte share one, the first in its least significant bits.
std::uint64_t load_count(std::span<const std::byte> piece, std::uint64_t bit_offset, unsigned order) {
    const auto* at = piece.data() + bit_offset / 8;
    switch (order) {
    case 4: return load_be<std::uint16_t>(at);
    case 5: return load_be<std::uint32_t>(at);
    case 6: return load_be<std::uint64_t>(at);
    default: break;
    }
    const unsigned width = 1U << order;
    return bits(std::to_integer<std::uint64_t>(*at) >> (bit_offset % 8), width - 1, 0);
}

void store_count(std::span<std::byte> piece, std::uint64_t bit_offset, unsigned order, std::uint64_t count) {
    auto* at = piece.data() + bit_offset / 8;
    switch (order) {
    case 4: store_be(at, static_cast<std::uint16_t>(count)); return;
    case 5: store_be(at, static_cast<std::uint32_t>(count)); return;
    case 6: store_be(at, count); return;
    default: break;
    }
    const auto shift = static_cast<unsigned>(bit_offset % 8);
    const auto mask = static_cast<std::uint8_t>(((1U << (1U << order)) - 1) << shift);
    const auto kept = static_cast<std::uint8_t>(std::to_integer<std::uint8_t>(*at) & ~mask);
    *at = static_cast<std::byte>(kept | (count << shift));
}

std::uint64_t greatest_count(unsigned order) { return ~std::uint64_t{0} >> (64 - (1U << order)); }

} // namespace

Refcounts::Refcounts(ImageFile& file, Header& header)
    : file_(file), header_(header),
      blocks_(file, std::min<std::size_t>(header.cluster_size(), cached_piece_size), cached_pieces) {}

Result<void> Refcounts::load() {
    const auto size = file_.size();
    if (!size) {
        return std::unexpected(size.error());
    }
    fresh_ = align_up(*size, header_.cluster_size()) >> header_.cluster_bits;
    std::vector<std::byte> bytes(header_.refcount_table_clusters * header_.cluster_size());
    if (auto got = file_.read(header_.refcount_table_offset, bytes); !got) {
        return got;
    }
    table_.resize(bytes.size() / 8);
    for (std::size_t i = 0; i < table_.size(); ++i) {
        table_[i] = load_be<std::uint64_t>(&bytes[i * 8]);
        if ((table_[i] & header_.cluster_mask()) != 0 || table_[i] >= bit(56)) {
            return corrupt("misplaced refcount block");
        }
    }
    return check_blocks();
}

// Each block is led to once: else a small file could count clusters without end.
Result<void> Refcounts::check_blocks() const {
    std::vector<std::uint64_t> sorted;
    std::ranges::copy_if(table_, std::back_inserter(sorted), [](auto block) { return block != 0; });
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end()) {
        return corrupt("two refcount blocks in one place");
    }
    return {};
}

std::unexpected<Error> Refcounts::corrupt(std::string_view what) const {
    return fail(fmt::format("disk {}: corrupt: {}", file_.path(), what),
                "repair it with: qemu-img check -r all");
}

Refcounts::Place Refcounts::place_of(std::uint64_t cluster) const {
    const auto per_block = header_.refcounts_per_block();
    return {cluster / per_block, (cluster % per_block) << header_.refcount_order};
}

Result<std::uint64_t> Refcounts::get(std::uint64_t cluster) {
    const auto place = place_of(cluster);
    if (place.block >= table_.size() || table_[place.block] == 0) {
        return 0;
    }
    const auto piece = blocks_.get(table_[place.block] + place.bit / 8);
    if (!piece) {
        return std::unexpected(piece.error());
    }
    return load_count(*piece, place.bit % (blocks_.piece_size() * 8), header_.refcount_order);
}

Result<void> Refcounts::set(std::uint64_t cluster, std::uint64_t count) {
    const auto place = place_of(cluster);
    if (auto there = ensure_block(place.block); !there) {
        return there;
    }
    if (count > greatest_count(header_.refcount_order)) {
        return fail(fmt::format("disk {}: a cluster has too many users", file_.path()));
    }
    const auto piece = blocks_.change(table_[place.block] + place.bit / 8);
    if (!piece) {
        return std::unexpected(piece.error());
    }
    store_count(*piece, place.bit % (blocks_.piece_size() * 8), header_.refcount_order, count);
    return {};
}

Result<Refcounts::Allocation> Refcounts::allocate(std::uint64_t count) {
    auto cluster = count == 1 ? find_free() : fresh_;
    const bool fresh = cluster && *cluster == fresh_;
    if (fresh) {
        cluster = take_fresh(count);
    }
    if (!cluster) {
        return std::unexpected(cluster.error());
    }
    for (std::uint64_t i = 0; i < count; ++i) {
        if (auto counted = set(*cluster + i, 1); !counted) {
            return std::unexpected(counted.error());
        }
    }
    return Allocation{*cluster << header_.cluster_bits, fresh};
}

// The first free cluster that was used once, or fresh_.
Result<std::uint64_t> Refcounts::find_free() {
    for (; next_free_ < fresh_; ++next_free_) {
        const auto place = place_of(next_free_);
        if (place.block >= table_.size()) {
            next_free_ = fresh_;
            break;
        }
        if (table_[place.block] == 0) {
            // Nobody counts these clusters: leave them alone.
            next_free_ = std::min(fresh_, (place.block + 1) * header_.refcounts_per_block()) - 1;
            continue;
        }
        const auto count = get(next_free_);
        if (!count || *count == 0) {
            return count ? Result<std::uint64_t>(next_free_++) : count;
        }
    }
    return fresh_;
}

// Past the end of the file: but an image cut short may count clusters there.
Result<std::uint64_t> Refcounts::take_fresh(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto used = get(fresh_ + i);
        if (!used) {
            return used;
        }
        if (*used != 0) {
            fresh_ += i + 1;
            i = ~std::uint64_t{0}; // begin again
        }
    }
    const auto first = fresh_;
    fresh_ += count;
    return first;
}

Result<void> Refcounts::ensure_block(std::uint64_t block) {
    if (block >= table_.size()) {
        if (auto grown = grow_table(block); !grown) {
            return grown;
        }
    }
    if (table_[block] != 0) {
        return {};
    }
    const auto cluster = take_fresh(1);
    if (!cluster) {
        return std::unexpected(cluster.error());
    }
    const auto offset = *cluster << header_.cluster_bits;
    const std::vector<std::byte> zeros(header_.cluster_size());
    if (auto written = file_.write(offset, zeros); !written) {
        return written;
    }
    table_[block] = offset;
    changed_entries_.insert(block);
    return set(*cluster, 1); // perhaps in the new block itself
}

Result<void> Refcounts::grow_table(std::uint64_t block) {
    const auto entries_per_cluster = header_.cluster_size() / 8;
    const auto old_offset = header_.refcount_table_offset;
    const auto old_size = header_.refcount_table_clusters * header_.cluster_size();
    const auto clusters = std::max<std::uint64_t>(block / entries_per_cluster + 1,
                                                  header_.refcount_table_clusters * std::uint64_t{2});
    if (clusters * header_.cluster_size() > max_refcount_table_bytes) {
        return fail(fmt::format("disk {}: the image has no room for more clusters", file_.path()));
    }
    const auto first = take_fresh(clusters);
    if (!first) {
        return std::unexpected(first.error());
    }
    table_.resize(clusters * entries_per_cluster);
    header_.refcount_table_offset = *first << header_.cluster_bits;
    header_.refcount_table_clusters = static_cast<std::uint32_t>(clusters);
    table_moved_ = true;
    release(old_offset, old_size);
    for (std::uint64_t i = 0; i < clusters; ++i) {
        if (auto counted = set(*first + i, 1); !counted) {
            return counted;
        }
    }
    return {};
}

void Refcounts::release(std::uint64_t offset, std::uint64_t length) {
    const auto first = offset >> header_.cluster_bits;
    const auto last = (offset + length - 1) >> header_.cluster_bits;
    for (auto cluster = first; cluster <= last; ++cluster) {
        released_.push_back(cluster);
    }
}

bool Refcounts::wants_writing() const {
    return blocks_.changed() >= cached_pieces || released_.size() >= max_releases;
}

Result<void> Refcounts::write() {
    if (auto written = blocks_.write_changed(); !written) {
        return written;
    }
    return table_moved_ ? write_moved_table() : write_table();
}

Result<void> Refcounts::write_table() {
    if (changed_entries_.empty()) {
        return {};
    }
    // A block is complete before the table leads to it.
    if (auto flushed = file_.flush(); !flushed) {
        return flushed;
    }
    for (const auto index : changed_entries_) {
        std::array<std::byte, 8> entry{};
        store_be(entry.data(), table_[index]);
        if (auto written = file_.write(header_.refcount_table_offset + index * 8, entry); !written) {
            return written;
        }
    }
    changed_entries_.clear();
    return {};
}

Result<void> Refcounts::write_moved_table() {
    std::vector<std::byte> bytes(table_.size() * 8);
    for (std::size_t i = 0; i < table_.size(); ++i) {
        store_be(&bytes[i * 8], table_[i]);
    }
    if (auto written = file_.write(header_.refcount_table_offset, bytes); !written) {
        return written;
    }
    if (auto flushed = file_.flush(); !flushed) {
        return flushed;
    }
    if (auto updated = update_refcount_table(file_, header_); !updated) {
        return updated;
    }
    table_moved_ = false;
    changed_entries_.clear();
    return {};
}

Result<void> Refcounts::apply_releases() {
    for (const auto cluster : std::exchange(released_, {})) {
        const auto count = get(cluster);
        if (!count) {
            return std::unexpected(count.error());
        }
        if (*count == 0) {
            continue; // the image was wrong before; a check finds it
        }
        if (auto set_to = set(cluster, *count - 1); !set_to) {
            return set_to;
        }
        if (*count == 1) {
            next_free_ = std::min(next_free_, cluster);
            if (auto given_back = file_.discard(cluster << header_.cluster_bits, header_.cluster_size());
                !given_back) {
                return given_back;
            }
        }
    }
    return {};
}

} // namespace strata::backends::qcow2
