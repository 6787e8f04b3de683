#include "cpu/translator/regions.hpp"

#include <algorithm>

namespace strata::cpu::translator {

using interpreter::page_of;
using interpreter::tag_of;
using interpreter::TlbEntry;
using interpreter::TlbSet;

namespace {

constexpr std::uint64_t most_pages = 16; // that a region grows by at once, each way
constexpr std::uint32_t first_growth = 4, next_growth = 64, after_no_growth = 4096;

std::uint64_t base_of(const Region& region) { return std::uint64_t{0} - region.minus_base; }

std::uint64_t bytes_of(const Region& region, const RegionUse& use) {
    return (std::uint64_t{0} - region.minus_limit) + use.last;
}

} // namespace

bool Regions::take(RegionUse& use) {
    if (!free_.empty()) { // it may be in a list still
        use.number = free_.back();
        free_.pop_back();
    } else if (taken_ != capacity) {
        use.number = taken_++;
        regions[use.number].physical = 0;
    } else {
        return false;
    }
    fills[use.number] = {.last = use.last, .until_growth = first_growth};
    uses_[use.number] = &use;
    regions[use.number].drop();
    return true;
}

void Regions::give_back(const RegionUse& use) {
    regions[use.number].drop();
    uses_[use.number] = &nobody_;
    free_.push_back(use.number);
}

void Regions::clear() {
    free_.clear();
    taken_ = none + 1;
    filled_end = {0, capacity};
}

bool Regions::holds(const RegionUse& use, std::uint64_t linear) const {
    const Region& region = regions[use.number];
    return linear + region.minus_base < std::uint64_t{0} - region.minus_limit;
}

bool Regions::fill(RegionUse& use, TlbSet& set, std::uint64_t linear) {
    const auto& tags = use.writes ? set.write_tags : set.read_tags;
    const std::uint64_t page = page_of(linear), addend = set.addends[TlbSet::index(page)];
    const std::uint64_t physical = set.physicals[TlbSet::index(page)];
    std::uint64_t all = TlbEntry::global, any = 0;
    const auto belongs = [&](std::uint64_t other) {
        const unsigned place = TlbSet::index(other);
        const std::uint64_t distance = other - page;
        if ((use.narrow && other >= end_of_narrow) || tags[place] != tag_of(other) ||
            set.addends[place] != addend || page_of(set.physicals[place]) != page_of(physical) + distance) {
            return false;
        }
        all &= set.physicals[place];
        any |= set.physicals[place] & TlbEntry::large;
        return true;
    };
    if (!belongs(page)) {
        return false;
    }
    std::uint64_t first = page, end = page + memory::page_size;
    Region& region = regions[use.number];
    // What it holds already stays, if it is of the same run: streams grow at their end.
    const std::uint64_t old_first = base_of(region), old_end = old_first + bytes_of(region, use);
    if (page >= old_first - memory::page_size && page <= old_end && region.addend == addend &&
        page_of(region.physical) + (page - old_first) == page_of(physical)) {
        first = std::min(first, old_first);
        end = std::max(end, old_end);
        all &= region.physical;
        any |= region.physical & TlbEntry::large;
    }
    for (std::uint64_t more = 0; more < most_pages && belongs(end); ++more) {
        end += memory::page_size;
    }
    for (std::uint64_t more = 0; more < most_pages && belongs(first - memory::page_size); ++more) {
        first -= memory::page_size;
    }
    const std::uint64_t size = end - first;
    fills[use.number].until_growth = size > memory::page_size ? next_growth : after_no_growth;
    if (size <= use.last) {
        return false;
    }
    region = {std::uint64_t{0} - first, use.last - size, addend,
              (page_of(physical) - (page - first)) | all | any | (region.physical & Region::lists)};
    add_to_list(region);
    return size > memory::page_size;
}

// ---- dropping: it costs no more than the filling did ----

void Regions::add_to_list(Region& region) {
    const bool upper_half = (base_of(region) & sign) != 0;
    const unsigned number = upper_half && (region.physical & TlbEntry::global) != 0 ? 1 : 0;
    if ((region.physical & list_bits[number]) == 0) {
        region.physical |= list_bits[number];
        filled[filled_end[number]++] = &region;
    }
}

void Regions::drop_list(unsigned number) {
    drops_ += list(number).size();
    for (Region* region : list(number)) {
        region->drop();
        region->physical &= ~list_bits[number];
    }
    filled_end[number] = std::size_t{number} * capacity;
}

void Regions::flushed_all() {
    ++drops_; // of what was found in the TLB
    drop_list(0);
    drop_list(1);
}

void Regions::flushed_but_global() {
    ++drops_;
    drop_list(0);
}

void Regions::invalidated(std::uint64_t linear) {
    ++drops_;
    drop_list(0);
    if ((linear & sign) != 0) {
        drop_list(1);
    }
}

void Regions::writes_forbidden(memory::GuestPhysical page) {
    ++drops_;
    for (const unsigned number : {0U, 1U}) {
        for (Region* region : list(number)) {
            const RegionUse& use = *uses_[static_cast<std::size_t>(region - regions.data())];
            if (use.writes && page - page_of(region->physical) < bytes_of(*region, use)) {
                region->drop();
                ++drops_;
            }
        }
    }
}

} // namespace strata::cpu::translator
