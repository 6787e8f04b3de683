#include "cpu/interpreter/tlb.hpp"

namespace strata::cpu::interpreter {

void Tlb::flush_all() {
    if (observer_ != nullptr) {
        observer_->flushed_all();
    }
    for (TlbSet& set : data_) {
        set.drop_all();
    }
    for (FetchSet& set : fetch_) {
        set.drop_all();
    }
    data_fills_.clear();
    fetch_fills_.clear();
    large_regions_.clear();
    written_pages_.clear();
}

void Tlb::drop_if_local(TlbEntry entry) {
    if ((entry.physical & TlbEntry::global) == 0) {
        entry.drop();
    }
}

void Tlb::drop_fetch_if_local(std::uint32_t place) {
    FetchSet& set = fetch_[place / FetchSet::size];
    if (!set.entries[place % FetchSet::size].global) {
        set.set(place % FetchSet::size, {});
    }
}

const FetchEntry& Tlb::set_fetch(bool user, std::uint64_t linear, const FetchEntry& entry) {
    FetchSet& set = fetch_[user];
    const unsigned place = FetchSet::index(linear);
    set.set(place, entry);
    if (!entry.global) {
        fetch_fills_.add(static_cast<std::uint32_t>(user * FetchSet::size + place));
    }
    return set.entries[place];
}

void Tlb::flush_but_global() {
    if (observer_ != nullptr) {
        observer_->flushed_but_global();
    }
    if (data_fills_.complete()) {
        for (const std::uint32_t place : data_fills_.places()) {
            drop_if_local(data_entry(place));
        }
    } else {
        for (TlbSet& set : data_) {
            for (unsigned i = 0; i < TlbSet::size; ++i) {
                drop_if_local(set.entry(i));
            }
        }
    }
    if (fetch_fills_.complete()) {
        for (const std::uint32_t place : fetch_fills_.places()) {
            drop_fetch_if_local(place);
        }
    } else {
        for (std::uint32_t place = 0; place < fetch_.size() * FetchSet::size; ++place) {
            drop_fetch_if_local(place);
        }
    }
    data_fills_.clear();
    fetch_fills_.clear();
}

void Tlb::leave_space(SavedSpace& to) {
    if (data_fills_.complete()) {
        for (const std::uint32_t place : data_fills_.places()) {
            const TlbEntry entry = data_entry(place);
            const bool holds = entry.read_tag != TlbEntry::none && (entry.physical & TlbEntry::global) == 0;
            if (holds && to.data.size() < SavedSpace::most_data) {
                to.data.push_back({place, entry.read_tag, entry.write_tag, entry.addend, entry.physical});
                entry.drop(); // so that a place that was filled twice is put away once
            }
        }
    }
    if (fetch_fills_.complete()) {
        for (const std::uint32_t place : fetch_fills_.places()) {
            FetchSet& set = fetch_[place / FetchSet::size];
            const unsigned index = place % FetchSet::size;
            const FetchEntry& entry = set.entries[index];
            if (entry.tag != FetchEntry::none && !entry.global && to.code.size() < SavedSpace::most_code) {
                to.code.push_back({place, entry, set.ids[index]});
                set.set(index, {});
            }
        }
    }
    flush_but_global();
}

bool Tlb::invalidate(std::uint64_t linear) {
    if (observer_ != nullptr) {
        observer_->invalidated(linear);
    }
    for (TlbSet& set : data_) {
        set.at(linear).drop();
    }
    for (const bool user : {false, true}) {
        fetch_[user].set(FetchSet::index(linear), {});
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
    for (FetchSet& set : fetch_) {
        set.drop_all(); // which of them are parts of large pages is not kept
    }
    return true;
}

void Tlb::forbid_writes(memory::GuestPhysical page) {
    const WrittenPages::Place place = written_pages_.take(page);
    if (place == WrittenPages::nowhere) {
        return;
    }
    if (observer_ != nullptr) {
        observer_->writes_forbidden(page);
    }
    if (place != WrittenPages::anywhere) {
        if (const TlbEntry entry = data_entry(place); page_of(entry.physical) == page) {
            entry.write_tag = TlbEntry::none;
        }
        return;
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
