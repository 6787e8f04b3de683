// Runs of guest memory, one for each place of an access in translated code: contiguous in linear, physical
// and host addresses, filled from the TLB, so that most accesses are a comparison and an addition.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/tlb.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::cpu::translator {

inline constexpr std::uint64_t end_of_narrow = std::uint64_t{1} << 32; // of what 32-bit code can address

// An access of the place's span at `linear` lies inside unless (linear + minus_base) + minus_limit carries.
struct Region {
    // An empty one can't be expressed: it would hold this one address alone, which is canonical neither for
    // the guest nor, with addend 0, for the host, whose trap sends the access to the interpreter.
    static constexpr std::uint64_t nowhere = std::uint64_t{1} << 62;

    std::uint64_t minus_base;
    std::uint64_t minus_limit; // minus the number of addresses at which an access may begin
    std::uint64_t addend;      // host address = linear address + addend
    // Of the first page, with the bits of TlbEntry for all pages, and which lists of Regions have it.
    std::uint64_t physical;

    static constexpr std::uint64_t lists = 3 << 10;

    [[nodiscard]] static constexpr std::uint64_t in_list(unsigned list) {
        return std::uint64_t{1} << (10 + list);
    }

    void drop() { *this = {std::uint64_t{0} - nowhere, ~std::uint64_t{0}, 0, physical & lists}; }
};

// What a miss needs to know of a place. All of them lie together: a miss is costly enough without one in the
// host's caches.
struct RegionFill {
    std::uint16_t last = 0;         // RegionUse's
    std::uint16_t hopeless = 0;     // of a check that accesses share: whether it fails for good
    std::uint32_t until_growth = 0; // fillings with one page before it is looked for more
};

// A place of access.
struct RegionUse {
    std::uint32_t region = 0;   // the Region's distance from the processor's state, in bytes
    std::uint32_t number = 0;   // and its place in Regions::regions
    std::uint16_t last = 0;     // bytes of an access, minus 1
    std::uint16_t failures = 0; // of a check that accesses share: how often in a row
    interpreter::DataView view{};
    bool writes = false;
    bool narrow = false; // of 32-bit code: addresses from 4 GiB on are not its own

    // ---- whether a region is of use there ----
    std::uint64_t rip = 0;       // the instruction's; 0: nobody asks
    std::uint64_t last_page = 0; // missed at, when it was last looked at
    std::uint8_t far_misses = 0; // in a row
    bool looked_at = false;
    bool scattered = false; // no: misses are far from each other
};

class Regions final : public interpreter::TlbObserver {
public:
    static constexpr unsigned capacity = 1 << 17;
    static constexpr std::uint64_t none = 0; // the number of no region

    // A new empty region for `use`, which outlives it and learns its number. False: all are taken.
    [[nodiscard]] bool take(RegionUse& use);
    // The place's region is free again.
    void give_back(const RegionUse& use);
    // All are free again.
    void clear();

    // Whose region a number is.
    [[nodiscard]] RegionUse& use_of(std::uint64_t number) { return *uses_[number]; }

    // Whether an access at `linear` lies in the place's region.
    [[nodiscard]] bool holds(const RegionUse& use, std::uint64_t linear) const;
    // Gives the place what holds `linear`, and its neighbours that hold on; `linear` is in the TLB's set.
    // Whether there were any.
    bool fill(RegionUse& use, interpreter::TlbSet& set, std::uint64_t linear);

    // Has grow_region called at the next miss.
    void watch(const RegionUse& use) { fills[use.number].until_growth = 1; }

    // Changes whenever a region was dropped: what a trace has checked before holds no longer.
    [[nodiscard]] std::uint64_t drops() const { return drops_; }

    void flushed_all() override;
    void flushed_but_global() override;
    void invalidated(std::uint64_t linear) override;
    void writes_forbidden(memory::GuestPhysical page) override;

    // ---- for translated code ----
    std::array<Region, capacity> regions;
    std::array<RegionFill, capacity> fills;
    // Those that were filled in, each once at most in a list: in list 1 if all of it is global and in the
    // upper half of the linear addresses, where kernels are, else in list 0. What was filled anew may be in
    // both.
    std::array<Region*, std::size_t{2} * capacity> filled;
    std::array<std::uint64_t, 2> filled_end{0, capacity}; // of each list
    std::array<std::uint64_t, 2> list_bits{Region::in_list(0), Region::in_list(1)};
    std::uint64_t both_lists = Region::lists, sign = std::uint64_t{1} << 63;

private:
    [[nodiscard]] std::span<Region*> list(unsigned number) {
        const std::size_t first = std::size_t{number} * capacity;
        return std::span(filled).subspan(first, filled_end[number] - first);
    }

    void add_to_list(Region& region);
    void drop_list(unsigned number);

    std::array<RegionUse*, capacity> uses_;
    std::vector<std::uint32_t> free_; // of those once taken
    RegionUse nobody_;
    unsigned taken_ = none + 1;
    std::uint64_t drops_ = 0;
};

} // namespace strata::cpu::translator
