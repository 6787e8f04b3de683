// The linear address space that native processor and guest share: one 64 KiB arena below 4 GiB, so that code
// of every width reaches it. What is not listed here is unmapped on both sides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace strata::oracle {

inline constexpr std::uint64_t page = 4096;
inline constexpr std::uint64_t arena = 0x1000'0000;
inline constexpr std::uint64_t arena_pages = 16;
inline constexpr std::uint64_t arena_size = arena_pages * page;

enum class Rights : std::uint8_t { none, read, read_write, read_execute, all };

// Each page of the arena; unmapped ones stand between the mapped, so that accesses run into them.
inline constexpr std::array<Rights, arena_pages> rights{
    Rights::none,       Rights::read_execute, Rights::all,  Rights::none, //
    Rights::read_write, Rights::read_write,   Rights::read, Rights::none, //
    Rights::none,       Rights::read_write,   Rights::none, Rights::none, //
    Rights::none,       Rights::none,         Rights::none, Rights::none,
};

[[nodiscard]] constexpr bool writable(Rights r) { return r == Rights::read_write || r == Rights::all; }

[[nodiscard]] constexpr bool executable(Rights r) { return r == Rights::read_execute || r == Rights::all; }

inline constexpr std::uint64_t code_begin = arena + 1 * page; // executable; the second page is writable too
inline constexpr std::uint64_t code_end = arena + 3 * page;
inline constexpr std::uint64_t data_begin = arena + 4 * page; // writable
inline constexpr std::uint64_t data_end = arena + 6 * page;
inline constexpr std::uint64_t constant_begin = data_end; // readable only
inline constexpr std::uint64_t constant_end = arena + 7 * page;
inline constexpr std::uint64_t stack_begin = arena + 9 * page;
inline constexpr std::uint64_t stack_end = arena + 10 * page;

// INT3 fills executable pages: wherever control goes after the tested instructions, it stops at once.
inline constexpr std::uint8_t code_filler = 0xCC;

// The pages that a case can change, in the order in which cases store them.
inline constexpr std::array<unsigned, 4> variable_pages{2, 4, 5, 9};

// ---- selectors: Linux's flat ones, and for 32- and 16-bit code a local descriptor table ----
inline constexpr std::uint16_t flat_data = 0x2B, flat_code64 = 0x33, user_code32 = 0x23;

// In 64-bit mode FS and GS are null with these bases.
inline constexpr std::uint64_t fs_base = data_begin, gs_base = data_begin + 0x1804;

// A descriptor of the local table, all at privilege level 3.
struct LocalSegment {
    std::uint32_t base;
    std::uint32_t limit; // as encoded: in pages if `pages`

    enum Kind : std::uint8_t { data, expand_down, code, conforming } kind;

    bool big;        // D/B
    bool restricted; // data: read-only, code: execute-only
    bool pages;
    bool present;
};

enum LocalIndex : std::uint8_t {
    code16,
    data16,
    window,
    offset_flat,
    downward,
    read_only,
    code32,
    execute_only,
    absent,
    flat_code32,
    local_segments
};

inline constexpr std::array<LocalSegment, local_segments> local_table{{
    {arena, 0xFFFF, LocalSegment::code, false, false, false, true},
    {arena, 0xFFFF, LocalSegment::data, false, false, false, true},
    {fs_base, 0x3FFF, LocalSegment::data, true, false, false, true},
    {gs_base, 0xFFFFF, LocalSegment::data, true, false, true, true},
    {arena, 0x47FF, LocalSegment::expand_down, true, false, false, true},
    {arena, 0xFFFF, LocalSegment::data, true, true, false, true},
    {arena, 0xFFFF, LocalSegment::code, true, false, false, true},
    {arena, 0xFFFF, LocalSegment::code, true, true, false, true},
    {arena, 0xFFFF, LocalSegment::data, true, false, false, false},
    {0, 0xFFFFF, LocalSegment::code, true, false, true, true},
}};

[[nodiscard]] constexpr std::uint16_t local_selector(LocalIndex index) {
    return static_cast<std::uint16_t>(index << 3 | 4 | 3);
}

} // namespace strata::oracle
