// The E820 memory map: which guest-physical addresses are RAM. ACPI 6.5 section 15.
#pragma once

#include "memory/guest_memory.hpp"

#include <cstdint>
#include <vector>

namespace strata::machine {

enum class E820Type : std::uint32_t { ram = 1, reserved = 2 };

struct E820Entry {
    memory::GuestPhysical base = 0;
    std::uint64_t size = 0;
    E820Type type = E820Type::ram;
};

// In ascending order, without overlaps.
[[nodiscard]] std::vector<E820Entry> e820_map(const memory::GuestMemory& memory);

} // namespace strata::machine
