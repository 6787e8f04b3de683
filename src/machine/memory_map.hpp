// The guest-physical address map of the boards: what lies where between RAM and the top of the low 4 GiB.
#pragma once

#include "memory/guest_memory.hpp"

#include <cstdint>

namespace strata::machine::memory_map {

using memory::GuestPhysical;

inline constexpr GuestPhysical kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

// Conventional memory ends where PCs keep the extended BIOS data area; then come the video and ROM areas.
inline constexpr GuestPhysical ebda = 0x9'FC00;
inline constexpr GuestPhysical video = 0xA'0000;
inline constexpr GuestPhysical firmware_tables = 0xE'0000; // ACPI tables: where kernels look for the RSDP
inline constexpr GuestPhysical firmware_tables_end = 0x10'0000;
inline constexpr GuestPhysical high_memory = 0x10'0000;

inline constexpr GuestPhysical low_ram_limit = 0xC000'0000; // RAM beyond this continues at 4 GiB
inline constexpr GuestPhysical pci_window = 0xC000'0000;    // for 32-bit base address registers
inline constexpr std::uint64_t pci_window_size = 512 * mib;
inline constexpr GuestPhysical ecam = 0xE000'0000; // PCI Express configuration space, 1 MiB a bus
inline constexpr std::uint8_t last_pci_bus = 0;    // the root bus and no bridges
inline constexpr std::uint64_t ecam_size = (last_pci_bus + 1) * mib;
inline constexpr GuestPhysical io_apic = 0xFEC0'0000;
inline constexpr GuestPhysical local_apic = 0xFEE0'0000;
inline constexpr GuestPhysical four_gib = 4 * gib;

} // namespace strata::machine::memory_map
