#include "backends/block/qcow2/table_cache.hpp"

#include "base/bits.hpp"
#include "base/bytes.hpp"

#include <algorithm>

namespace strata::backends::qcow2 {

Result<TableCache::Piece*> TableCache::find(std::uint64_t offset) {
    const auto start = align_down(offset, piece_size_);
    if (const auto found = pieces_.find(start); found != pieces_.end()) {
        ages_.splice(ages_.begin(), ages_, found->second.age);
        return &found->second;
    }
    std::vector<std::byte> bytes(piece_size_);
    if (auto got = file_.read(start, bytes); !got) {
        return std::unexpected(got.error());
    }
    make_room();
    ages_.push_front(start);
    return &pieces_.emplace(start, Piece{std::move(bytes), ages_.begin(), false}).first->second;
}

void TableCache::make_room() {
    for (auto oldest = ages_.end(); pieces_.size() - changed_ >= capacity_ && oldest != ages_.begin();) {
        --oldest;
        const auto piece = pieces_.find(*oldest);
        if (!piece->second.changed) {
            pieces_.erase(piece);
            oldest = ages_.erase(oldest);
        }
    }
}

Result<std::span<const std::byte>> TableCache::get(std::uint64_t offset) {
    const auto piece = find(offset);
    if (!piece) {
        return std::unexpected(piece.error());
    }
    return std::span<const std::byte>((*piece)->bytes);
}

Result<std::span<std::byte>> TableCache::change(std::uint64_t offset) {
    const auto piece = find(offset);
    if (!piece) {
        return std::unexpected(piece.error());
    }
    changed_ += (*piece)->changed ? 0 : 1;
    (*piece)->changed = true;
    return std::span<std::byte>((*piece)->bytes);
}

Result<std::uint64_t> TableCache::load(std::uint64_t offset) {
    const auto piece = get(offset);
    if (!piece) {
        return std::unexpected(piece.error());
    }
    return load_be<std::uint64_t>(&(*piece)[offset % piece_size_]);
}

Result<void> TableCache::store(std::uint64_t offset, std::uint64_t value) {
    const auto piece = change(offset);
    if (!piece) {
        return std::unexpected(piece.error());
    }
    store_be(&(*piece)[offset % piece_size_], value);
    return {};
}

void TableCache::forget(std::uint64_t offset, std::uint64_t length) {
    for (auto start = align_down(offset, piece_size_); start < offset + length; start += piece_size_) {
        if (const auto found = pieces_.find(start); found != pieces_.end()) {
            changed_ -= found->second.changed ? 1 : 0;
            ages_.erase(found->second.age);
            pieces_.erase(found);
        }
    }
}

Result<void> TableCache::write_changed() {
    std::vector<std::uint64_t> offsets;
    for (const auto& [offset, piece] : pieces_) {
        if (piece.changed) {
            offsets.push_back(offset);
        }
    }
    std::ranges::sort(offsets);
    for (const auto offset : offsets) {
        Piece& piece = pieces_.at(offset);
        if (auto written = file_.write(offset, piece.bytes); !written) {
            return written;
        }
        piece.changed = false;
        --changed_;
    }
    return {};
}

} // namespace strata::backends::qcow2
