#include "cpu/interpreter/tlb.hpp"

namespace strata::cpu::interpreter {

void Tlb::flush_all() {
    for (TlbSet& set : data_) {
        for (TlbEntry& entry : set.entries) {
            entry.drop();
        }
    }
    for (auto& set : fetch_) {
        set.fill({});
    }
    data_fills_.clear();
    fetch_fills_.clear();
    large_regions_.clear();
}

void Tlb::flush_but_global() {
    const auto drop_data = [](TlbEntry& entry) {
        if ((entry.physical & TlbEntry::global) == 0) {
            entry.drop();
        }
    };
    const auto drop_fetch = [](FetchEntry& entry) {
        if (!entry.global) {
            entry = {};
        }
    };
    if (data_fills_.complete()) {
        for (TlbEntry* entry : data_fills_.entries()) {
            drop_data(*entry);
        }
    } else {
        for (TlbSet& set : data_) {
            std::ranges::for_each(set.entries, drop_data);
        }
    }
    if (fetch_fills_.complete()) {
        for (FetchEntry* entry : fetch_fills_.entries()) {
            drop_fetch(*entry);
        }
    } else {
        for (auto& set : fetch_) {
            std::ranges::for_each(set, drop_fetch);
        }
    }
    data_fills_.clear();
    fetch_fills_.clear();
}

bool Tlb::invalidate(std::uint64_t linear) {
    for (TlbSet& set : data_) {
        set.at(linear).drop();
    }
    for (const bool user : {false, true}) {
        fetch(user, linear) = {};
    }
    if (!large_regions_.contains(linear)) {
        return false;
    }
    for (TlbSet& set : data_) {
        for (TlbEntry& entry : set.entries) {
            if ((entry.physical & TlbEntry::large) &&
                entry.read_tag >> LargeRegions::shift == linear >> LargeRegions::shift) {
                entry.drop();
            }
        }
    }
    for (auto& set : fetch_) {
        set.fill({}); // which of them are parts of large pages is not kept
    }
    return true;
}

void Tlb::forbid_writes(memory::GuestPhysical page) {
    for (TlbSet& set : data_) {
        for (TlbEntry& entry : set.entries) {
            if (page_of(entry.physical) == page) {
                entry.write_tag = TlbEntry::none;
            }
        }
    }
}

} // namespace strata::cpu::interpreter
