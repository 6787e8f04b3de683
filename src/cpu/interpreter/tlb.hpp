// The interpreter's translation look-aside buffer: direct-mapped, tagged by linear page, one set a kind of
// privilege.
#pragma once

#include "memory/guest_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace strata::cpu::interpreter {

// The linear address of the page that holds `linear`.
[[nodiscard]] constexpr std::uint64_t page_of(std::uint64_t linear) {
    return linear & ~(memory::page_size - 1);
}

struct TlbEntry {
    static constexpr std::uint64_t none = ~std::uint64_t{0}; // equals no page's address

    // The linear page if it can be accessed through `addend` without looking further, else none. A page of
    // RAM is writable so only when it is marked dirty (in the guest's page table and in the dirty log) and
    // holds no code.
    std::uint64_t read_tag = none;
    std::uint64_t write_tag = none;
    std::uintptr_t addend = 0;  // host address = linear address + addend
    std::uint64_t physical = 0; // guest-physical page, and the bits below

    static constexpr std::uint64_t global = 1 << 0; // survives flushes that spare global pages
    static constexpr std::uint64_t large = 1 << 1;  // part of a larger page
};

// Accesses look up the page of their first byte and compare with the page of their last, so that one that
// crosses pages misses.
struct TlbSet {
    static constexpr unsigned size = 1024;

    std::array<TlbEntry, size> entries{};

    [[nodiscard]] TlbEntry& at(std::uint64_t linear) {
        return entries[(linear >> memory::page_shift) % size];
    }
};

// Where code is fetched from: used when a block is looked up, not for each instruction.
struct FetchEntry {
    std::uint64_t tag = TlbEntry::none;
    std::uint64_t physical = 0;      // guest-physical page
    const std::byte* host = nullptr; // null if it is no RAM
};

struct Tlb {
    static constexpr unsigned fetch_size = 256;

    std::array<TlbSet, 3> data{};                              // by Cpu::Rights
    std::array<std::array<FetchEntry, fetch_size>, 2> fetch{}; // supervisor, user
    TlbSet never{}; // never filled: sends every access the slow way
};

} // namespace strata::cpu::interpreter
