// Routes port and memory accesses to the devices that declared them.
#pragma once

#include "devices/device.hpp"

#include <cstdint>
#include <map>
#include <optional>

namespace strata::devices {

// Used under the machine's device lock.
class Router {
public:
    // Maps the device's regions that are `mapped`. The device outlives the router, or is removed first.
    void add(Device& device);
    void remove(Device& device);

    // Maps, moves or (nullopt) unmaps one region. Where regions overlap, the one mapped last answers.
    void map(Device& device, unsigned region, std::optional<std::uint64_t> base);

    // `size` is 1, 2, 4 or 8. What nobody answers reads as all ones.
    [[nodiscard]] std::uint64_t read(Space space, std::uint64_t address, unsigned size);
    void write(Space space, std::uint64_t address, unsigned size, std::uint64_t value);

    // Every device and region, for fuzzers, `--trace` and `strata devices`.
    struct Mapping {
        Device* device;
        unsigned region;
        Region info;
    };

    [[nodiscard]] std::vector<Mapping> mappings() const;

private:
    struct Entry {
        Device* device;
        unsigned region;
        Region info;
    };

    // By the address one past the region's end, so that upper_bound(address) is the only candidate.
    using Map = std::map<std::uint64_t, Entry>;

    [[nodiscard]] const Entry* find(Space space, std::uint64_t address) const;
    [[nodiscard]] Map& map_of(Space space) { return space == Space::port ? ports_ : memory_; }

    Map ports_, memory_;
    std::vector<Entry> shadowed_; // regions that a later one covers
};

} // namespace strata::devices
