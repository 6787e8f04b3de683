#include "cpu/interpreter/tlb.hpp"

namespace strata::cpu::interpreter {

void Tlb::flush_all() {
    if (observer_ != nullptr) {
        observer_->flushed_all();
    }
    for (TlbSet& set : data_) {
        set.drop_all();
    }
    for (auto& set : fetch_) {
        set.fill({});
    }
    data_fills_.clear();
    fetch_fills_.clear();
    large_regions_.clear();
}

void Tlb::drop_if_local(TlbEntry entry) {
    if ((entry.physical & TlbEntry::global) == 0) {
        entry.drop();
    }
}

void Tlb::flush_but_global() {
    if (observer_ != nullptr) {
        observer_->flushed_but_global();
    }
    const auto drop_fetch = [](FetchEntry& entry) {
        if (!entry.global) {
            entry = {};
        }
    };
    if (data_fills_.complete()) {
        for (const std::uint32_t place : data_fills_.places()) {
            drop_if_local(data_[place / TlbSet::size].entry(place % TlbSet::size));
        }
    } else {
        for (TlbSet& set : data_) {
            for (unsigned i = 0; i < TlbSet::size; ++i) {
                drop_if_local(set.entry(i));
            }
        }
    }
    if (fetch_fills_.complete()) {
        for (FetchEntry* entry : fetch_fills_.places()) {
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
    if (observer_ != nullptr) {
        observer_->invalidated(linear);
    }
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
        for (unsigned i = 0; i < TlbSet::size; ++i) {
            const TlbEntry entry = set.entry(i);
            if ((entry.physical & TlbEntry::large) != 0 &&
                page_of_tag(entry.read_tag) >> LargeRegions::shift == linear >> LargeRegions::shift) {
                set.entry(i).drop();
            }
        }
    }
    for (auto& set : fetch_) {
        set.fill({}); // which of them are parts of large pages is not kept
    }
    return true;
}

void Tlb::forbid_writes(memory::GuestPhysical page) {
    if (observer_ != nullptr) {
        observer_->writes_forbidden(page);
    }
    for (TlbSet& set : data_) {
        for (unsigned i = 0; i < TlbSet::size; ++i) {
            if (page_of(set.physicals[i]) == page) {
                set.write_tags[i] = TlbEntry::none;
            }
        }
    }
}

} // namespace strata::cpu::interpreter
