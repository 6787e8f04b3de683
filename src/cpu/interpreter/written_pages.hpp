// Where physical pages are written from without looking: which places of the TLB have a write_tag for one, as
// far as it can be told by the page alone. So a page that comes to hold code is taken from the TLB without a
// search through all of it: most such pages are written from one place, a kernel's map of all memory, or
// none.
#pragma once

#include "memory/guest_memory.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace strata::cpu::interpreter {

class WrittenPages {
public:
    using Place = std::uint32_t;
    // Instead of a place. Nowhere: there can be none; anywhere: there may be several.
    static constexpr Place nowhere = ~Place{0}, anywhere = nowhere - 1;

    void add(memory::GuestPhysical page, Place place) {
        Slot& slot = slot_of(page);
        if (slot.place == nowhere) {
            slot = {number(page), place};
        } else if (slot.page != number(page)) {
            slot = {shared, anywhere};
        } else if (slot.place != place) {
            slot.place = anywhere;
        }
    }

    // Where the page may be written from; after which it is not any more.
    [[nodiscard]] Place take(memory::GuestPhysical page) {
        Slot& slot = slot_of(page);
        if (slot.page == shared) {
            return anywhere;
        }
        if (slot.page != number(page)) {
            return nowhere;
        }
        slot.page = none;
        return std::exchange(slot.place, nowhere);
    }

    void clear() { slots_.assign(slots_.size(), {}); }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0}, shared = none - 1; // no pages' numbers
    static constexpr std::size_t size = 1 << 16;                                // 256 MiB of pages

    struct Slot {
        std::uint32_t page = none; // its number; `shared` by several
        Place place = nowhere;
    };

    static std::uint32_t number(memory::GuestPhysical page) {
        return static_cast<std::uint32_t>(page >> memory::page_shift);
    }

    Slot& slot_of(memory::GuestPhysical page) { return slots_[number(page) % size]; }

    std::vector<Slot> slots_ = std::vector<Slot>(size);
};

} // namespace strata::cpu::interpreter
