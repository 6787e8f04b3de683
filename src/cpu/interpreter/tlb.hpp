// The interpreter's translation look-aside buffer: direct-mapped, tagged by linear page, one set a kind of
// privilege.
#pragma once

#include "cpu/interpreter/written_pages.hpp"
#include "memory/guest_memory.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::cpu::interpreter {

[[nodiscard]] constexpr bool same_page(std::uint64_t a, std::uint64_t b) {
    return (a ^ b) < memory::page_size;
}

// The linear address of the page that holds `linear`.
[[nodiscard]] constexpr std::uint64_t page_of(std::uint64_t linear) {
    return linear & ~(memory::page_size - 1);
}

// What a linear address is compared by: minus the number of its page, so that translated code can compare by
// an addition, which leaves the flags alone.
[[nodiscard]] constexpr std::uint64_t tag_of(std::uint64_t linear) {
    return std::uint64_t{0} - (linear >> memory::page_shift);
}

// The linear page that a tag stands for.
[[nodiscard]] constexpr std::uint64_t page_of_tag(std::uint64_t tag) {
    return (std::uint64_t{0} - tag) << memory::page_shift;
}

// One place of a TlbSet.
struct TlbEntry {
    static constexpr std::uint64_t none = 1; // equals no page's tag

    // The tag of the page if it can be accessed through `addend` without looking further, else none. A page
    // of RAM is writable so only when it is marked dirty (in the guest's page table and in the dirty log) and
    // holds no code.
    std::uint64_t& read_tag;
    std::uint64_t& write_tag;
    std::uintptr_t& addend;  // host address = linear address + addend
    std::uint64_t& physical; // guest-physical page, and the bits below

    static constexpr std::uint64_t global = 1 << 0; // survives flushes that spare global pages
    static constexpr std::uint64_t large = 1 << 1;  // part of a larger page
    // The guest may write here, and has marked the page dirty: nothing but code on it forbids a write_tag.
    static constexpr std::uint64_t writable = 1 << 2;

    void drop() const { read_tag = write_tag = none; }
};

// Accesses look up the page of their first byte and compare with the page of their last, so that one that
// crosses pages misses. Each field has an array of its own, so that translated code scales an index by 8.
struct TlbSet {
    static constexpr unsigned size = 32768; // 128 MiB of pages

    std::array<std::uint64_t, size> read_tags, write_tags;
    std::array<std::uintptr_t, size> addends{};
    std::array<std::uint64_t, size> physicals{};

    TlbSet() { drop_all(); }

    [[nodiscard]] static unsigned index(std::uint64_t linear) {
        return static_cast<unsigned>(linear >> memory::page_shift) % size;
    }

    [[nodiscard]] TlbEntry entry(unsigned index) {
        return {read_tags[index], write_tags[index], addends[index], physicals[index]};
    }

    [[nodiscard]] TlbEntry at(std::uint64_t linear) { return entry(index(linear)); }

    void drop_all() {
        read_tags.fill(TlbEntry::none);
        write_tags.fill(TlbEntry::none);
    }
};

// Where code is fetched from: used when a block is looked up, not for each instruction.
struct FetchEntry {
    static constexpr std::uint64_t none = ~std::uint64_t{0}; // equals no page's address

    std::uint64_t tag = none;        // the linear page
    std::uint64_t physical = 0;      // guest-physical page
    const std::byte* host = nullptr; // null if it is no RAM
    bool global = false;
};

// The translations of instruction fetches by one kind of privilege.
struct FetchSet {
    static constexpr unsigned size = 4096;

    std::array<FetchEntry, size> entries{};
    // For who keeps code by linear address: a number that stands for an entry's page and where it leads to,
    // as long as the entry holds; 0 when it does not.
    std::array<std::uint32_t, size> ids{};

    [[nodiscard]] static unsigned index(std::uint64_t linear) {
        return static_cast<unsigned>(linear >> memory::page_shift) % size;
    }

    void set(unsigned index, const FetchEntry& entry) {
        entries[index] = entry;
        ids[index] = 0;
    }

    void drop_all() {
        entries.fill({});
        ids.fill(0);
    }
};

// What the TLB held of an address space when that was left.
struct SavedSpace {
    static constexpr std::size_t most_data = 1024, most_code = 128; // the rest is not kept

    struct Data {
        std::uint32_t place;
        std::uint64_t read_tag, write_tag;
        std::uintptr_t addend;
        std::uint64_t physical;
    };

    struct Code {
        std::uint32_t place;
        FetchEntry entry;
        std::uint32_t id;
    };

    std::vector<Data> data;
    std::vector<Code> code;

    void clear() {
        data.clear();
        code.clear();
    }
};

// The address spaces that were left last, by PCID.
class SavedSpaces {
public:
    // Room for what is left, emptied.
    [[nodiscard]] SavedSpace& put(std::uint64_t pcid) {
        forget(pcid);
        Slot& slot = slots_[next_];
        next_ = (next_ + 1) % slots_.size();
        slot.pcid = pcid;
        slot.space.clear();
        return slot.space;
    }

    // Null if nothing is known.
    [[nodiscard]] SavedSpace* find(std::uint64_t pcid) {
        const auto found = std::ranges::find(slots_, pcid, &Slot::pcid);
        return found == slots_.end() ? nullptr : &found->space;
    }

    void forget(std::uint64_t pcid) {
        const auto found = std::ranges::find(slots_, pcid, &Slot::pcid);
        if (found != slots_.end()) {
            found->pcid = none;
        }
    }

    void forget_all() {
        for (Slot& slot : slots_) {
            slot.pcid = none;
        }
    }

private:
    static constexpr std::uint64_t none = ~std::uint64_t{0};

    struct Slot {
        std::uint64_t pcid = none;
        SavedSpace space{};
    };

    std::array<Slot, 8> slots_{}; // as many as systems use at a time
    std::size_t next_ = 0;
};

// Remembers what was filled since the last flush, so that a flush touches only that. Of what does not fit it
// remembers that there is more.
template <class Place, std::size_t capacity>
class FillList {
public:
    void add(Place place) {
        if (count_ < capacity) {
            places_[count_] = place;
        }
        ++count_;
    }

    [[nodiscard]] bool complete() const { return count_ <= capacity; }

    // If complete().
    [[nodiscard]] std::span<const Place> places() const { return std::span(places_).first(count_); }

    void clear() { count_ = 0; }

private:
    std::array<Place, capacity> places_;
    std::size_t count_ = 0;
};

// The gigabytes of linear memory in which large pages were seen: where a page is invalidated there, all that
// came from large pages is.
class LargeRegions {
public:
    static constexpr unsigned shift = 30;

    void add(std::uint64_t linear) {
        if (!contains(linear)) {
            if (count_ < regions_.size()) {
                regions_[count_] = linear >> shift;
            }
            ++count_;
        }
    }

    [[nodiscard]] bool contains(std::uint64_t linear) const {
        return count_ > regions_.size() || std::ranges::find(regions_.begin(), regions_.begin() + count_,
                                                             linear >> shift) != regions_.begin() + count_;
    }

    void clear() { count_ = 0; }

private:
    std::array<std::uint64_t, 8> regions_{};
    std::size_t count_ = 0; // more than fit: everywhere
};

// Pages from which code was fetched since the last clear(), and some others: whether invalidating one can
// matter to decoded code.
class ExecutedPages {
public:
    void add(std::uint64_t linear) { word(linear) |= bit(linear); }

    [[nodiscard]] bool contains(std::uint64_t linear) { return word(linear) & bit(linear); }

    void clear() { words_.fill(0); }

private:
    static constexpr std::size_t size = 64;

    static std::uint64_t page(std::uint64_t linear) { return linear >> memory::page_shift; }

    static std::uint64_t bit(std::uint64_t linear) { return std::uint64_t{1} << page(linear) % 64; }

    std::uint64_t& word(std::uint64_t linear) { return words_[page(linear) / 64 % size]; }

    std::array<std::uint64_t, size> words_{};
};

// Who keeps copies of translations, and drops them with the originals.
class TlbObserver {
public:
    virtual ~TlbObserver() = default;

    virtual void flushed_all() = 0;
    virtual void flushed_but_global() = 0;
    // As Tlb::invalidate().
    virtual void invalidated(std::uint64_t linear) = 0;
    virtual void writes_forbidden(memory::GuestPhysical page) = 0;
};

class Tlb {
public:
    // Outlives the translations.
    void set_observer(TlbObserver* observer) { observer_ = observer; }

    // By DataView. The last is never filled: it sends every access the slow way.
    [[nodiscard]] TlbSet& data(unsigned view) { return data_[view]; }

    [[nodiscard]] const FetchEntry& fetch(bool user, std::uint64_t linear) const {
        return fetch_[user].entries[FetchSet::index(linear)];
    }

    const FetchEntry& set_fetch(bool user, std::uint64_t linear, const FetchEntry& entry);

    // FetchSet::ids: of the page, if the TLB has it.
    void set_fetch_id(bool user, std::uint64_t linear, std::uint32_t id) {
        FetchSet& set = fetch_[user];
        const unsigned place = FetchSet::index(linear);
        if (set.entries[place].tag == page_of(linear)) {
            set.ids[place] = id;
        }
    }

    [[nodiscard]] const std::array<std::uint32_t, FetchSet::size>& fetch_ids(bool user) const {
        return fetch_[user].ids;
    }

    // After a slot got a translation that a flush sparing global pages is to remove.
    void filled(unsigned rights, std::uint64_t linear) {
        data_fills_.add(static_cast<std::uint32_t>(rights * TlbSet::size + TlbSet::index(linear)));
    }

    // After a slot got a write_tag for the physical page.
    void writes_allowed(unsigned rights, std::uint64_t linear, memory::GuestPhysical page) {
        written_pages_.add(page, static_cast<std::uint32_t>(rights * TlbSet::size + TlbSet::index(linear)));
    }

    // After a slot got a part of a page larger than 4 KiB.
    void filled_large(std::uint64_t linear) { large_regions_.add(linear); }

    void flush_all();
    void flush_but_global();
    // Likewise, but puts away what it can; and has it back, where `writable` (of a physical page) says
    // whether a page may still be written to without looking.
    void leave_space(SavedSpace& to);

    template <class Writable>
    void return_to_space(const SavedSpace& from, Writable writable) {
        for (const SavedSpace::Data& saved : from.data) {
            TlbEntry entry = data_entry(saved.place);
            entry.read_tag = saved.read_tag;
            const bool wrong = saved.write_tag != TlbEntry::none && !writable(page_of(saved.physical));
            entry.write_tag = wrong ? TlbEntry::none : saved.write_tag;
            entry.addend = saved.addend;
            entry.physical = saved.physical;
            written_pages_.add(page_of(saved.physical), saved.place);
            data_fills_.add(saved.place);
        }
        for (const SavedSpace::Code& saved : from.code) {
            FetchSet& set = fetch_[saved.place / FetchSet::size];
            set.set(saved.place % FetchSet::size, saved.entry);
            set.ids[saved.place % FetchSet::size] = saved.id;
            fetch_fills_.add(saved.place);
        }
    }

    // The translation of `linear`, and all of a larger page that may hold it. Whether there may be one.
    bool invalidate(std::uint64_t linear);
    // Has no page written without looking any more.
    void forbid_writes(memory::GuestPhysical page);

private:
    static void drop_if_local(TlbEntry entry);
    void drop_fetch_if_local(std::uint32_t place);

    [[nodiscard]] TlbEntry data_entry(std::uint32_t place) {
        return data_[place / TlbSet::size].entry(place % TlbSet::size);
    }

    TlbObserver* observer_ = nullptr;
    std::array<TlbSet, 4> data_{};
    std::array<FetchSet, 2> fetch_{};           // supervisor, user
    FillList<std::uint32_t, 16384> data_fills_; // set number * TlbSet::size + index
    FillList<std::uint32_t, 1024> fetch_fills_; // likewise
    LargeRegions large_regions_;
    WrittenPages written_pages_; // places likewise
};

} // namespace strata::cpu::interpreter
