#include "devices/virtio/block_request.hpp"

#include <array>
#include <vector>

namespace strata::devices::virtio {

namespace {

enum class Operation : std::uint32_t {
    in = 0,
    out = 1,
    flush = 4,
    get_id = 8,
    discard = 11,
    write_zeroes = 13
};

struct Header {
    Operation operation;
    std::uint32_t reserved;
    std::uint64_t sector;
};

struct Segment {
    std::uint64_t sector;
    std::uint32_t sectors;
    std::uint32_t flags;
};

constexpr std::uint32_t flag_unmap = 1;
constexpr std::size_t id_size = 20;

BlockStatus status_of(const Result<void>& result) { return result ? BlockStatus::ok : BlockStatus::io_error; }

// True if the sectors exist: nothing overflows, and the end is within the disk.
bool within(const backends::BlockBackend& backend, std::uint64_t sector, std::uint64_t bytes) {
    const auto size = backend.size();
    return sector <= size / sector_size && bytes <= size - sector * sector_size;
}

BlockStatus read(Chain& chain, std::uint64_t sector, const BlockTarget& target) {
    if (chain.writable() % sector_size != 0 || !within(target.backend, sector, chain.writable())) {
        return BlockStatus::io_error;
    }
    auto offset = sector * sector_size;
    return chain.write_in_place(chain.writable(),
                                [&](std::span<std::byte> piece) {
                                    const auto got = target.backend.read(offset, piece);
                                    offset += piece.size();
                                    return got.has_value();
                                })
               ? BlockStatus::ok
               : BlockStatus::io_error;
}

BlockStatus write(Chain& chain, std::uint64_t sector, const BlockTarget& target) {
    if (chain.readable() % sector_size != 0 || !within(target.backend, sector, chain.readable())) {
        return BlockStatus::io_error;
    }
    auto offset = sector * sector_size;
    const bool written = chain.read_in_place(chain.readable(), [&](std::span<const std::byte> piece) {
        const auto put = target.backend.write(offset, piece);
        offset += piece.size();
        return put.has_value();
    });
    if (!written) {
        return BlockStatus::io_error;
    }
    return target.flush_each_write ? status_of(target.backend.flush()) : BlockStatus::ok;
}

// All segments are checked before the first is touched (section 5.2.6.2).
std::optional<std::vector<Segment>> read_segments(Chain& chain) {
    if (chain.readable() == 0 || chain.readable() % sizeof(Segment) != 0 ||
        chain.readable() / sizeof(Segment) > max_discard_segments) {
        return std::nullopt;
    }
    std::vector<Segment> segments;
    while (const auto segment = chain.read<Segment>()) {
        segments.push_back(*segment);
    }
    return segments;
}

BlockStatus discard_or_zero(Chain& chain, Operation operation, const BlockTarget& target) {
    const auto segments = read_segments(chain);
    if (!segments) {
        return BlockStatus::io_error;
    }
    const std::uint32_t allowed_flags = operation == Operation::write_zeroes ? flag_unmap : 0;
    for (const Segment& segment : *segments) {
        if (segment.flags & ~allowed_flags) {
            return BlockStatus::unsupported;
        }
        if (segment.sectors > max_discard_sectors ||
            !within(target.backend, segment.sector, segment.sectors * sector_size)) {
            return BlockStatus::io_error;
        }
    }
    for (const Segment& segment : *segments) {
        const auto offset = segment.sector * sector_size;
        const auto length = segment.sectors * sector_size;
        const auto done = operation == Operation::write_zeroes ? target.backend.write_zeroes(offset, length)
                                                               : target.backend.discard(offset, length);
        if (!done) {
            return BlockStatus::io_error;
        }
    }
    return target.flush_each_write ? status_of(target.backend.flush()) : BlockStatus::ok;
}

BlockStatus get_id(Chain& chain, const BlockTarget& target) {
    if (chain.writable() < id_size) {
        return BlockStatus::io_error;
    }
    std::array<char, id_size> id{};
    target.serial.copy(id.data(), id.size());
    chain.write(std::as_bytes(std::span(id)));
    return BlockStatus::ok;
}

bool changes_disk(Operation operation) {
    return operation == Operation::out || operation == Operation::discard ||
           operation == Operation::write_zeroes;
}

} // namespace

BlockStatus perform(Chain& chain, const BlockTarget& target) {
    const auto header = chain.read<Header>();
    if (!header || (changes_disk(header->operation) && target.backend.read_only())) {
        return BlockStatus::io_error;
    }
    switch (header->operation) {
    case Operation::in: return read(chain, header->sector, target);
    case Operation::out: return write(chain, header->sector, target);
    case Operation::flush: return status_of(target.backend.flush());
    case Operation::get_id: return get_id(chain, target);
    case Operation::discard:
    case Operation::write_zeroes: return discard_or_zero(chain, header->operation, target);
    }
    return BlockStatus::unsupported;
}

} // namespace strata::devices::virtio
