// Routes port and memory accesses to the devices that declared them.
#pragma once

#include "devices/device.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace strata::devices {

// Used under the machine's device lock. A device may map, move or unmap regions (its own or others') while it
// handles an access; what is left of that access goes where the new map says.
//
// What a device is promised: `offset` is a multiple of `size`, the access lies within the region, and `size`
// is within the region's limits. Larger and misaligned accesses are split, lowest address first. A smaller
// read takes its bytes out of a read of min_access; a smaller write reaches the device as one of min_access
// with the other bytes zero (as a bus without byte enables).
class Router {
public:
    // Maps the device's regions that are `mapped`. The device outlives the router, or is removed first.
    void add(Device& device);
    void remove(Device& device);

    // Maps, moves or (nullopt) unmaps one region of a device that was added. Where regions overlap, the one
    // mapped last answers. What would reach past the end of the address space is left unmapped.
    void map(Device& device, unsigned region, std::optional<std::uint64_t> base);

    // Called after each change of the map. Before the machine runs.
    void on_change(std::function<void()> callback) { changed_ = std::move(callback); }

    // `size` is 1, 2, 4 or 8. What nobody answers reads as all ones.
    [[nodiscard]] std::uint64_t read(Space space, std::uint64_t address, unsigned size);
    void write(Space space, std::uint64_t address, unsigned size, std::uint64_t value);

    // Every device and region, for fuzzers, `--trace` and `strata devices`; info.base and info.mapped are
    // the present ones.
    struct Mapping {
        Device* device;
        unsigned region;
        Region info;
    };

    [[nodiscard]] std::vector<Mapping> mappings() const { return regions_; }

    // Who answers `address`, or null. Valid until the next change of the map.
    [[nodiscard]] const Mapping* find(Space space, std::uint64_t address) const;

private:
    // A run of addresses that one region answers. Intervals of a space are sorted and do not overlap.
    struct Interval {
        std::uint64_t first, last;
        std::uint32_t owner; // index in regions_
    };

    // One step of an access: the part that goes to one device in one call.
    struct Piece {
        const Mapping* owner; // null: nobody
        std::uint64_t offset; // in the region, of the device's access
        unsigned access;      // its size
        unsigned shift;       // where the wanted bytes are in it, in bits
        unsigned bytes;       // of the original access that this piece covers
    };

    [[nodiscard]] const Interval* interval(Space space, std::uint64_t address) const;
    [[nodiscard]] Piece next_piece(Space space, std::uint64_t address, unsigned remaining) const;
    void rebuild(Space space);

    std::vector<Mapping> regions_;                   // in the order in which they were mapped
    std::array<std::vector<Interval>, 2> intervals_; // by Space
    std::function<void()> changed_;
};

} // namespace strata::devices
