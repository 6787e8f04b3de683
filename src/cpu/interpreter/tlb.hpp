// The interpreter's translation look-aside buffer.
#pragma once

#include <array>
#include <cstdint>

namespace strata::cpu::interpreter {

struct TlbEntry {
    std::uint64_t read_tag = ~std::uint64_t{0}; // linear page address if readable directly, else all ones
    std::uint64_t write_tag = ~std::uint64_t{0};
    std::uintptr_t addend = 0; // host address = linear address + addend
    std::uint64_t info = 0;    // global, physical page
};

struct Tlb {
    static constexpr unsigned entries = 1024;
    // By privilege: supervisor and user see different rights.
    std::array<std::array<TlbEntry, entries>, 2> sets{};
};

} // namespace strata::cpu::interpreter
