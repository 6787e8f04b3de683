#include "machine/loader/initial_state.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/registers.hpp"
#include "machine/memory_map.hpp"

#include <array>
#include <span>

namespace strata::machine::loader {
namespace {

namespace x86 = cpu::x86;
using memory_map::mib;

// Access rights as x86::Segment has them: accessed, present, ring 0.
constexpr std::uint16_t code32_rights = 0xC09B, code64_rights = 0xA09B, data_rights = 0xC093,
                        tss_rights = 0x008B, ldt_rights = 0x0082;

// A segment descriptor, SDM volume 3 section 3.4.5: all of 4 GiB from address 0.
constexpr std::uint64_t flat_descriptor(std::uint16_t rights) {
    return 0x000F'0000'0000'FFFF | (std::uint64_t{rights} << 40);
}

// An available 32-bit TSS of 104 bytes at address 0: what PVH asks TR to look like.
constexpr std::uint64_t tss_descriptor = 0x0000'8900'0000'0067;

x86::Segment flat_segment(std::uint16_t selector, std::uint16_t rights) {
    return {.selector = selector, .base = 0, .limit = 0xFFFF'FFFF, .attributes = rights};
}

template <std::size_t N>
std::array<std::byte, N * 8> to_bytes(const std::array<std::uint64_t, N>& words) {
    std::array<std::byte, N * 8> bytes{};
    for (std::size_t i = 0; i < N; ++i) {
        store_le(&bytes[i * 8], words[i]);
    }
    return bytes;
}

Result<x86::State> flat_state(BootMemory& memory, std::uint16_t code_rights) {
    const std::array<std::uint64_t, 5> table{0, 0, flat_descriptor(code_rights), flat_descriptor(data_rights),
                                             tss_descriptor};
    const auto bytes = to_bytes(table);
    const auto gdt = memory.place_lowest(bytes.size(), 8, 0, memory_map::ebda, "the boot descriptor table");
    if (!gdt) {
        return std::unexpected(gdt.error());
    }
    memory.write(*gdt, bytes);

    x86::State state;
    auto& system = state.system;
    system.gdtr = {*gdt, static_cast<std::uint16_t>(bytes.size() - 1)};
    system.idtr = {0, 0};
    system.segments.fill(flat_segment(boot_ds, data_rights));
    system.segments[x86::cs] = flat_segment(boot_cs, code_rights);
    system.tr = {.selector = boot_tss, .base = 0, .limit = 0x67, .attributes = tss_rights};
    system.ldtr = {.selector = 0, .base = 0, .limit = 0xFFFF, .attributes = ldt_rights};
    system.cr0 = x86::cr0::pe | x86::cr0::et;
    return state;
}

// One PML4, one page-directory-pointer table, four page directories.
Result<GuestPhysical> identity_map(BootMemory& memory) {
    constexpr std::size_t pages = 6, entries = 512;
    const auto base = memory.place_lowest(pages * memory::page_size, memory::page_size, 0, memory_map::ebda,
                                          "the boot page tables");
    if (!base) {
        return base;
    }
    constexpr std::uint64_t table = x86::pte::present | x86::pte::writable;
    std::array<std::uint64_t, pages * entries> words{};
    words[0] = (*base + memory::page_size) | table;
    for (std::size_t i = 0; i < 4; ++i) {
        words[entries + i] = (*base + (2 + i) * memory::page_size) | table;
    }
    for (std::size_t i = 0; i < 4 * entries; ++i) {
        words[2 * entries + i] = (i * 2 * mib) | table | x86::pte::large;
    }
    memory.write(*base, to_bytes(words));
    return base;
}

} // namespace

Result<x86::State> protected_mode_state(BootMemory& memory, std::uint32_t entry) {
    auto state = flat_state(memory, code32_rights);
    if (state) {
        state->rip = entry;
    }
    return state;
}

Result<x86::State> long_mode_state(BootMemory& memory, std::uint64_t entry) {
    auto state = flat_state(memory, code64_rights);
    if (!state) {
        return state;
    }
    const auto tables = identity_map(memory);
    if (!tables) {
        return std::unexpected(tables.error());
    }
    auto& system = state->system;
    system.cr0 |= x86::cr0::pg;
    system.cr3 = *tables;
    system.cr4 = x86::cr4::pae;
    system.efer = x86::efer::lme | x86::efer::lma;
    state->rip = entry;
    return state;
}

} // namespace strata::machine::loader
