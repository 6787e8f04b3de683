// The ACPI tables of a board. ACPI Specification 6.5, chapter 5.
#pragma once

#include "base/error.hpp"
#include "memory/guest_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace strata::machine::acpi {

struct SerialPort {
    std::uint16_t base;
    unsigned irq;
};

// What differs between boards; the rest is the same on all and comes from the devices' own declarations.
struct Platform {
    unsigned cpus = 1;
    unsigned sci = 9;
    std::array<unsigned, 4> pci_irqs{}; // by the bus's interrupt line
    std::vector<SerialPort> serial_ports;
    memory::GuestPhysical pci_window64 = 0;
    std::uint64_t pci_window64_size = 0; // 0: none
};

// The tables, laid out for where they will be.
struct Tables {
    memory::GuestPhysical rsdp;
    memory::GuestPhysical base;
    std::vector<std::byte> bytes; // to be written at `base`
};

[[nodiscard]] Tables build_tables(const Platform& platform, memory::GuestPhysical base);

// A table with its header and checksum: section 5.2.6.
using Table = std::vector<std::byte>;

[[nodiscard]] Table dsdt(const Platform& platform);
[[nodiscard]] Table fadt(const Platform& platform, memory::GuestPhysical facs, memory::GuestPhysical dsdt);
[[nodiscard]] Table madt(const Platform& platform);
[[nodiscard]] Table mcfg();

} // namespace strata::machine::acpi
