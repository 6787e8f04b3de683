// Pieces of the tables on disk, kept in memory. Changed pieces stay there until they are written on purpose,
// so that the order of writes is the caller's.
#pragma once

#include "backends/block/image_file.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

namespace strata::backends::qcow2 {

class TableCache {
public:
    // Pieces are `piece_size` bytes at multiples of it. At most `capacity` of them are unchanged ones.
    TableCache(ImageFile& file, std::size_t piece_size, std::size_t capacity)
        : file_(file), piece_size_(piece_size), capacity_(capacity) {}

    [[nodiscard]] std::size_t piece_size() const { return piece_size_; }

    // The piece that holds the byte at `offset`, read if necessary. Valid until the next call.
    [[nodiscard]] Result<std::span<const std::byte>> get(std::uint64_t offset);
    // The same, to be changed.
    [[nodiscard]] Result<std::span<std::byte>> change(std::uint64_t offset);

    // A big-endian table entry.
    [[nodiscard]] Result<std::uint64_t> load(std::uint64_t offset);
    [[nodiscard]] Result<void> store(std::uint64_t offset, std::uint64_t value);

    // Forgets what lies in the range, changed or not.
    void forget(std::uint64_t offset, std::uint64_t length);

    [[nodiscard]] std::size_t changed() const { return changed_; }

    // Writes all changed pieces, lowest offset first.
    [[nodiscard]] Result<void> write_changed();

private:
    struct Piece {
        std::vector<std::byte> bytes;
        std::list<std::uint64_t>::iterator age;
        bool changed = false;
    };

    [[nodiscard]] Result<Piece*> find(std::uint64_t offset);
    void make_room();

    ImageFile& file_;
    std::size_t piece_size_, capacity_;
    std::size_t changed_ = 0;
    std::unordered_map<std::uint64_t, Piece> pieces_; // by offset
    std::list<std::uint64_t> ages_;                   // offsets, last used first
};

} // namespace strata::backends::qcow2
