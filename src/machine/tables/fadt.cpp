// The Fixed ACPI Description Table: where the fixed hardware is. ACPI Specification 6.5, section 5.2.9.
#include "devices/acpi_pm.hpp"
#include "devices/pci/host_bridge.hpp"
#include "machine/tables/acpi_table.hpp"

namespace strata::machine::acpi {
namespace {

using devices::AcpiPm;
using devices::pci::HostBridge;

constexpr std::uint8_t century_cell = 0x32; // of the real-time clock

// IAPC_BOOT_ARCH, section 5.2.9.3. The 8042 is not told: there is no keyboard to look for.
constexpr std::uint16_t legacy_devices = 1 << 0, vga_not_present = 1 << 2;

// Fixed feature flags, table 5.10.
constexpr std::uint32_t wbinvd = 1 << 0, c1_supported = 1 << 2, no_fixed_sleep_button = 1 << 5,
                        no_fixed_rtc_wake = 1 << 6, timer_32_bits = 1 << 8, reset_register = 1 << 10;

// Generic Address Structure, section 5.2.3.2.
void put_io_address(TableBuilder& table, std::uint16_t port, std::uint8_t bytes) {
    constexpr std::uint8_t system_io = 1;
    table.put(port == 0 ? std::uint8_t{0} : system_io).put(static_cast<std::uint8_t>(bytes * 8));
    table.put(std::uint8_t{0}).put(std::uint8_t{0}).put(std::uint64_t{port});
}

// One block of registers, told twice: in the fields of ACPI 1.0 and in the extended ones.
struct Block {
    std::uint16_t port;
    std::uint8_t length;
};

constexpr Block absent{0, 0};

constexpr std::uint16_t at(std::uint16_t offset) {
    return static_cast<std::uint16_t>(AcpiPm::default_base + offset);
}

// PM1a and PM1b events, PM1a and PM1b control, PM2 control, PM timer, GPE0, GPE1.
constexpr std::array<Block, 8> blocks{{
    {at(AcpiPm::event_offset), AcpiPm::event_length},
    absent,
    {at(AcpiPm::control_offset), AcpiPm::control_length},
    absent,
    absent,
    {at(AcpiPm::timer_offset), AcpiPm::timer_length},
    {at(AcpiPm::gpe_offset), AcpiPm::gpe_length},
    absent,
}};

} // namespace

Table fadt(const Platform& platform, memory::GuestPhysical facs, memory::GuestPhysical dsdt) {
    constexpr std::uint16_t no_c2 = 101, no_c3 = 1001; // latencies that say so
    TableBuilder table("FACP", 6);
    table.put(static_cast<std::uint32_t>(facs)).put(static_cast<std::uint32_t>(dsdt));
    table.put(std::uint8_t{0}).put(std::uint8_t{0}); // reserved; unspecified power profile
    table.put(static_cast<std::uint16_t>(platform.sci));
    table.put(std::uint32_t{0}).zeros(4); // no SMI command port: ACPI is always on
    for (const Block& block : blocks) {
        table.put(std::uint32_t{block.port});
    }
    for (const std::size_t index : {0U, 2U, 4U, 5U, 6U, 7U}) { // PM1, its control, PM2, timer, GPE0, GPE1
        table.put(blocks[index].length);
    }
    table.put(std::uint8_t{0}).put(std::uint8_t{0}); // GPE1's base; no _CST
    table.put(no_c2).put(no_c3).zeros(4);            // flush size and stride, for no WBINVD
    table.zeros(4).put(century_cell);                // duty cycle, RTC alarm cells
    table.put(static_cast<std::uint16_t>(legacy_devices | vga_not_present)).zeros(1);
    table.put(wbinvd | c1_supported | no_fixed_sleep_button | no_fixed_rtc_wake | timer_32_bits |
              reset_register);
    put_io_address(table, HostBridge::reset_port, 1);
    table.put(HostBridge::reset_value).zeros(2).put(std::uint8_t{5}); // minor version: ACPI 6.5
    table.put(std::uint64_t{0}).put(std::uint64_t{dsdt}); // FACS is told by its 32-bit field alone
    for (const Block& block : blocks) {
        put_io_address(table, block.port, block.length);
    }
    table.zeros(12 + 12 + 8); // sleep control and status of reduced hardware; hypervisor vendor
    return std::move(table).finish();
}

} // namespace strata::machine::acpi
