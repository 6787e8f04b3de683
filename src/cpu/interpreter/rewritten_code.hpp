// Pages whose code is written again and again, as compilers at run time do. For a while such a page is
// executed without keeping what is decoded from it: each instruction is read afresh, and stores to the page
// cost nothing.
#pragma once

#include "memory/guest_memory.hpp"

#include <array>
#include <cstdint>

namespace strata::cpu::interpreter {

class RewrittenCode {
public:
    // For who wants to know of all code, however often it is written.
    void keep_all() { keeps_all_ = true; }

    // After decoded code of `page` became void by a write. Whether the page is not to be kept from now on.
    bool note(memory::GuestPhysical page) {
        if (keeps_all_) {
            return false;
        }
        Entry& entry = slot(page);
        if (entry.page != page) {
            fresh_ -= entry.fresh != 0;
            entry = {.page = page};
        }
        if (entry.fresh != 0 || ++entry.rewrites < most_rewrites) {
            return false;
        }
        entry.rewrites = 0;
        entry.fresh = instructions;
        ++fresh_;
        return true;
    }

    // Whether the next instruction, in `page`, is to be read afresh.
    bool is_fresh(memory::GuestPhysical page) {
        if (fresh_ == 0) [[likely]] {
            return false;
        }
        Entry& entry = slot(page);
        if (entry.page != page || entry.fresh == 0) {
            return false;
        }
        fresh_ -= --entry.fresh == 0;
        return true;
    }

private:
    // So many times decoded code may be lost before the page is executed afresh, for so many instructions:
    // what is not written any more is soon fast again.
    static constexpr std::uint32_t most_rewrites = 16, instructions = 32768;

    struct Entry {
        memory::GuestPhysical page = ~memory::GuestPhysical{0};
        std::uint32_t rewrites = 0;
        std::uint32_t fresh = 0; // instructions to come
    };

    Entry& slot(memory::GuestPhysical page) {
        return entries_[(page >> memory::page_shift) % entries_.size()];
    }

    std::array<Entry, 64> entries_{};
    std::uint32_t fresh_ = 0; // entries with any
    bool keeps_all_ = false;
};

} // namespace strata::cpu::interpreter
