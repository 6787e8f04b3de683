// Where a fuzzed processor starts: one of the modes, in a little world of page tables, descriptor tables and
// handlers that stop; registers, memory and code as the input says.
#pragma once

#include "cpu/x86/state.hpp"
#include "input.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::fuzz {

// The guest's RAM: as much from address 0 as that, the rest from 4 GiB.
inline constexpr std::uint64_t low_ram = 0x4'0000, high_ram = 0x1'0000, all_ram = low_ram + high_ram;

// Where every mode's page tables lie.
inline constexpr std::uint64_t page_tables = 0x1'0000, page_tables_end = 0x1'7000;

// A HLT for every vector, each in eight bytes of its own; the rest of the page is HLT, too.
inline constexpr std::uint64_t handlers = 0xB000;

enum class ProcessorMode : std::uint8_t {
    real,
    virtual_8086,
    protected_16,
    protected_32, // without paging
    paging_32,    // two levels
    paging_pae,
    long_64,
    compatibility,
    count
};

[[nodiscard]] constexpr bool is_long(ProcessorMode mode) {
    return mode == ProcessorMode::long_64 || mode == ProcessorMode::compatibility;
}

struct Patch {
    std::uint64_t address;
    std::span<const std::uint8_t> bytes;
};

struct ProcessorStart {
    // Takes all of `input`; the patches lie in it.
    explicit ProcessorStart(Input input);

    ProcessorMode mode;
    bool user; // runs at privilege level 3
    cpu::x86::State state{};
    std::vector<Patch> patches; // of memory, over the world of the mode

    // What happens while it runs: byte i chooses what comes before step i.
    std::span<const std::uint8_t> events;
};

// All of RAM, before patches: the tables of every mode.
[[nodiscard]] const std::vector<std::byte>& processor_world(ProcessorMode mode);

} // namespace strata::fuzz
