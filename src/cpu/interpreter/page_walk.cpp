#include "cpu/interpreter/page_walk.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>

namespace strata::cpu::interpreter {

namespace {

namespace pte = x86::pte;

// The fields of one level's entries.
struct Level {
    unsigned index_low; // the lowest linear address bit of the index
    unsigned index_bits;
    bool has_rights; // R/W, U/S and accessed count (not so in PAE's PDPTEs)
};

// An entry as read, kept for setting its accessed and dirty bits once the walk has succeeded.
struct Entry {
    memory::GuestPhysical address = 0;
    std::uint64_t value = 0;
    bool has_rights = true;
};

class Walker {
public:
    Walker(memory::GuestMemory& memory, const PagingMode& mode, std::uint64_t linear, WalkAccess access)
        : memory_(memory), mode_(mode), linear_(linear), access_(access), wide_(mode.cr4 & x86::cr4::pae),
          long_(mode.efer & x86::efer::lma), nx_(wide_ && (mode.efer & x86::efer::nxe)) {}

    std::variant<Mapping, WalkFault> run() {
        // Another processor may change an entry between the walk and the update of its bits: then look again.
        for (;;) {
            count_ = 0;
            auto result = descend();
            if (access_.ahead && !all_accessed()) {
                return fault(true, false);
            }
            if (access_.ahead || access_.probe || std::holds_alternative<WalkFault>(result) || set_bits()) {
                return result;
            }
        }
    }

private:
    using Outcome = std::variant<Mapping, WalkFault>;

    [[nodiscard]] Outcome fault(bool present, bool reserved) const {
        namespace code = x86::page_fault;
        const bool fetch_shown = nx_ || (mode_.cr4 & x86::cr4::smep);
        return WalkFault{(present ? code::present : 0) | (access_.access == Access::write ? code::write : 0) |
                         (access_.user ? code::user : 0) | (reserved ? code::reserved : 0) |
                         (access_.access == Access::fetch && fetch_shown ? code::fetch : 0)};
    }

    // Bits of an entry of eight bytes that must be clear, for an entry that refers to a table or a 4 KiB
    // page.
    [[nodiscard]] std::uint64_t reserved_bits(const Level& level) const {
        if (!wide_) {
            return 0;
        }
        const std::uint64_t above = ~std::uint64_t{0} << mode_.physical_bits;
        if (!level.has_rights) { // PAE's PDPTE
            return above | 0x1E6;
        }
        std::uint64_t reserved = above & bits(~std::uint64_t{0}, 51, 0);
        if (!nx_) {
            reserved |= pte::no_execute;
        }
        if (!long_) {
            reserved |= bits(~std::uint64_t{0}, 62, 52) << 52;
        }
        return reserved;
    }

    [[nodiscard]] std::uint64_t read_entry(memory::GuestPhysical address) const {
        const std::byte* host = memory_.host(address, wide_ ? 8 : 4);
        if (host == nullptr) {
            return ~std::uint64_t{0}; // nothing answers there
        }
        if (wide_) {
            return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(host)))
                .load(std::memory_order_relaxed);
        }
        return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(host)))
            .load(std::memory_order_relaxed);
    }

    Outcome descend() {
        static constexpr std::array<Level, 2> two{{{22, 10, true}, {12, 10, true}}};
        static constexpr std::array<Level, 3> pae{{{30, 2, false}, {21, 9, true}, {12, 9, true}}};
        static constexpr std::array<Level, 4> four{
            {{39, 9, true}, {30, 9, true}, {21, 9, true}, {12, 9, true}}};
        if (long_) {
            return descend(four, mode_.cr3 & bits(~std::uint64_t{0}, 51, 0) & ~std::uint64_t{0xFFF});
        }
        if (wide_) {
            return descend(pae, mode_.cr3 & 0xFFFF'FFE0);
        }
        return descend(two, mode_.cr3 & 0xFFFF'F000);
    }

    template <std::size_t N>
    Outcome descend(const std::array<Level, N>& levels, memory::GuestPhysical table) {
        std::uint64_t rights = pte::writable | pte::user;
        bool no_execute = false;
        for (std::size_t i = 0; i < N; ++i) {
            const Level& level = levels[i];
            const std::uint64_t index =
                bits(linear_, level.index_low + level.index_bits - 1, level.index_low);
            const memory::GuestPhysical address = table + index * (wide_ ? 8 : 4);
            const std::uint64_t entry = read_entry(address);
            if ((entry & pte::present) == 0) {
                return fault(false, false);
            }
            const bool last = i == N - 1;
            const bool large =
                !last && (entry & pte::large) && level.has_rights && (wide_ || (mode_.cr4 & x86::cr4::pse));
            if (entry & (large ? reserved_large(level) : reserved_bits(level))) {
                return fault(true, true);
            }
            entries_[count_++] = {address, entry, level.has_rights};
            if (level.has_rights) {
                rights &= entry;
                no_execute = no_execute || (nx_ && (entry & pte::no_execute));
            }
            if (last || large) {
                return finish(entry, level.index_low, rights, no_execute);
            }
            table = frame(entry);
        }
        return fault(false, false);
    }

    [[nodiscard]] memory::GuestPhysical frame(std::uint64_t entry) const {
        return wide_ ? entry & (bits(~std::uint64_t{0}, 51, 0) & ~std::uint64_t{0xFFF}) : entry & 0xFFFF'F000;
    }

    // Bits that must be clear in an entry that maps a page larger than 4 KiB.
    [[nodiscard]] std::uint64_t reserved_large(const Level& level) const {
        if (!wide_) {
            // Address bits 39:32 are in bits 20:13 where the processor has PSE-36; the rest of 21:13 is
            // reserved.
            const unsigned shown =
                mode_.pse36 ? (mode_.physical_bits < 40 ? mode_.physical_bits : 40) - 32 : 0;
            return bits(~std::uint64_t{0}, 21, 13 + shown) << (13 + shown);
        }
        if (level.index_low == 39 || (level.index_low == 30 && !mode_.gigabyte_pages)) {
            return pte::large;
        }
        const std::uint64_t offset = (bit(level.index_low) - 1) & ~std::uint64_t{0x1FFF};
        return reserved_bits(level) | offset;
    }

    Outcome finish(std::uint64_t entry, unsigned shift, std::uint64_t rights, bool no_execute) {
        const bool user_page = rights & pte::user;
        const bool writable = (rights & pte::writable) || (!access_.user && (mode_.cr0 & x86::cr0::wp) == 0);
        if (!access_.probe && !allowed(user_page, writable, no_execute)) {
            return fault(true, false);
        }
        const std::uint64_t offset_mask = bit(shift) - 1;
        memory::GuestPhysical base = frame(entry) & ~offset_mask;
        if (!wide_ && shift == 22 && mode_.pse36) {
            base |= bits(entry, 20, 13) << 32;
        }
        const bool global = (entry & pte::global) && (mode_.cr4 & x86::cr4::pge);
        return Mapping{base | (linear_ & offset_mask), writable,
                       (entry & pte::dirty) || access_.access == Access::write, global, shift != 12};
    }

    [[nodiscard]] bool allowed(bool user_page, bool writable, bool no_execute) const {
        if (access_.user && !user_page) {
            return false;
        }
        if (access_.access == Access::fetch) {
            const bool smep = !access_.user && user_page && (mode_.cr4 & x86::cr4::smep);
            return !no_execute && !smep;
        }
        if (!access_.user && user_page && access_.smap) {
            return false;
        }
        return access_.access != Access::write || writable;
    }

    [[nodiscard]] bool all_accessed() const {
        return std::ranges::all_of(std::span(entries_).first(count_), [](const Entry& entry) {
            return !entry.has_rights || (entry.value & pte::accessed) != 0;
        });
    }

    // Sets the accessed bits on the way and the dirty bit of a page that is written. False if an entry
    // changed.
    bool set_bits() {
        for (unsigned i = 0; i < count_; ++i) {
            const Entry& entry = entries_[i];
            if (!entry.has_rights) {
                continue;
            }
            const bool dirty = i == count_ - 1 && access_.access == Access::write;
            const std::uint64_t wanted = entry.value | pte::accessed | (dirty ? pte::dirty : 0);
            if (wanted != entry.value &&
                !(wide_ ? exchange<std::uint64_t>(entry, wanted) : exchange<std::uint32_t>(entry, wanted))) {
                return false;
            }
        }
        return true;
    }

    template <class T>
    bool exchange(const Entry& entry, std::uint64_t wanted) {
        std::byte* host = memory_.host(entry.address, sizeof(T));
        if (host == nullptr) {
            return true; // no RAM: nothing to set
        }
        T expected = static_cast<T>(entry.value);
        if (!std::atomic_ref(*reinterpret_cast<T*>(host))
                 .compare_exchange_strong(expected, static_cast<T>(wanted))) {
            return false;
        }
        memory_.written(entry.address, sizeof(T));
        return true;
    }

    memory::GuestMemory& memory_;
    const PagingMode& mode_;
    std::uint64_t linear_;
    WalkAccess access_;
    bool wide_; // entries of eight bytes
    bool long_;
    bool nx_;
    std::array<Entry, 4> entries_{};
    unsigned count_ = 0;
};

} // namespace

std::variant<Mapping, WalkFault> walk(memory::GuestMemory& memory, const PagingMode& mode,
                                      std::uint64_t linear, WalkAccess access) {
    if ((mode.cr0 & x86::cr0::pg) == 0) {
        return Mapping{linear, true, true, false, false};
    }
    return Walker(memory, mode, linear, access).run();
}

} // namespace strata::cpu::interpreter
