#include "devices/router.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace strata::devices {
namespace {

constexpr std::uint64_t last_address(Space space) {
    return space == Space::port ? 0xFFFF : ~std::uint64_t{0};
}

constexpr std::uint64_t low_bytes(unsigned bytes) { return ~std::uint64_t{0} >> (64 - bytes * 8); }

bool fits(const Region& region, std::uint64_t base) {
    return region.size != 0 && base <= last_address(region.space) &&
           region.size - 1 <= last_address(region.space) - base;
}

} // namespace

void Router::add(Device& device) {
    const auto regions = device.regions();
    for (unsigned i = 0; i < regions.size(); ++i) {
        Mapping mapping{&device, i, regions[i]};
        mapping.info.mapped = mapping.info.mapped && fits(mapping.info, mapping.info.base);
        regions_.push_back(mapping);
    }
    rebuild(Space::port);
    rebuild(Space::memory);
}

void Router::remove(Device& device) {
    std::erase_if(regions_, [&](const Mapping& mapping) { return mapping.device == &device; });
    rebuild(Space::port);
    rebuild(Space::memory);
}

void Router::map(Device& device, unsigned region, std::optional<std::uint64_t> base) {
    const auto found = std::ranges::find_if(regions_, [&](const Mapping& mapping) {
        return mapping.device == &device && mapping.region == region;
    });
    if (found == regions_.end()) {
        return;
    }
    found->info.mapped = base && fits(found->info, *base);
    if (found->info.mapped) {
        found->info.base = *base;
    }
    std::rotate(found, found + 1, regions_.end()); // mapped last: it wins
    rebuild(Space::port);
    rebuild(Space::memory);
    if (changed_) {
        changed_();
    }
}

// Lays the regions over each other, latest first, and keeps what each still shows.
void Router::rebuild(Space space) {
    auto& intervals = intervals_[std::to_underlying(space)];
    intervals.clear();
    for (std::size_t i = regions_.size(); i-- > 0;) {
        const Region& info = regions_[i].info;
        if (info.space != space || !info.mapped) {
            continue;
        }
        const auto owner = static_cast<std::uint32_t>(i);
        const std::uint64_t last = info.base + (info.size - 1);
        std::uint64_t first = info.base; // of what is not laid yet
        bool covered = false;
        auto next = std::ranges::lower_bound(intervals, first, {}, &Interval::last);
        for (; !covered && next != intervals.end() && next->first <= last; ++next) {
            if (first < next->first) {
                next = intervals.insert(next, {first, next->first - 1, owner}) + 1;
            }
            covered = next->last >= last;
            first = next->last + 1;
        }
        if (!covered) {
            intervals.insert(next, {first, last, owner});
        }
    }
}

const Router::Interval* Router::interval(Space space, std::uint64_t address) const {
    const auto& intervals = intervals_[std::to_underlying(space)];
    const auto found = std::ranges::lower_bound(intervals, address, {}, &Interval::last);
    return found != intervals.end() && found->first <= address ? &*found : nullptr;
}

const Router::Mapping* Router::find(Space space, std::uint64_t address) const {
    const Interval* found = interval(space, address);
    return found == nullptr ? nullptr : &regions_[found->owner];
}

Router::Piece Router::next_piece(Space space, std::uint64_t address, unsigned remaining) const {
    const Interval* found = interval(space, address);
    if (found == nullptr) {
        return {nullptr, 0, 1, 0, 1};
    }
    const Mapping& owner = regions_[found->owner];
    const Region& info = owner.info;
    const std::uint64_t offset = address - info.base;
    const auto visible =
        static_cast<unsigned>(std::min<std::uint64_t>(found->last - address, remaining - 1) + 1);
    // The largest power of two that is aligned, in the region, and not above its limit.
    unsigned access = std::min(std::bit_floor(visible), info.max_access);
    while ((offset & (access - 1)) != 0) {
        access /= 2;
    }
    if (access >= info.min_access) {
        return {&owner, offset, access, 0, access};
    }
    const std::uint64_t unit = align_down(offset, info.min_access);
    const auto skipped = static_cast<unsigned>(offset - unit);
    return {&owner, unit, info.min_access, skipped * 8, std::min(visible, info.min_access - skipped)};
}

std::uint64_t Router::read(Space space, std::uint64_t address, unsigned size) {
    std::uint64_t value = 0;
    for (unsigned done = 0; done < size;) {
        const Piece piece = next_piece(space, address + done, size - done);
        std::uint64_t part = ~std::uint64_t{0};
        if (piece.owner != nullptr) {
            part = piece.owner->device->read(piece.owner->region, piece.offset, piece.access) >> piece.shift;
        }
        value |= (part & low_bytes(piece.bytes)) << (done * 8);
        done += piece.bytes;
    }
    return value;
}

void Router::write(Space space, std::uint64_t address, unsigned size, std::uint64_t value) {
    for (unsigned done = 0; done < size;) {
        const Piece piece = next_piece(space, address + done, size - done);
        if (piece.owner != nullptr) {
            const std::uint64_t part = (value >> (done * 8)) & low_bytes(piece.bytes);
            piece.owner->device->write(piece.owner->region, piece.offset, piece.access, part << piece.shift);
        }
        done += piece.bytes;
    }
}

} // namespace strata::devices
