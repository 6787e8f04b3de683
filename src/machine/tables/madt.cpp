// The Multiple APIC Description Table: processors and interrupt controllers. ACPI Specification 6.5,
// section 5.2.12.
#include "devices/irq/io_apic.hpp"
#include "machine/memory_map.hpp"
#include "machine/tables/acpi_table.hpp"

#include <algorithm>

namespace strata::machine::acpi {
namespace {

enum class Entry : std::uint8_t {
    local_apic = 0,
    io_apic = 1,
    source_override = 2,
    local_nmi = 4,
    local_x2apic = 9
};

// MPS INTI flags, table 5.26.
constexpr std::uint16_t bus_default = 0, active_high_level = 0b1101;

void begin(TableBuilder& table, Entry entry, std::uint8_t length) {
    table.put(static_cast<std::uint8_t>(entry)).put(length);
}

void put_processor(TableBuilder& table, unsigned id) {
    constexpr std::uint32_t enabled = 1;
    constexpr unsigned first_x2apic_id = 255;
    if (id < first_x2apic_id) {
        begin(table, Entry::local_apic, 8);
        table.put(static_cast<std::uint8_t>(id)).put(static_cast<std::uint8_t>(id)).put(enabled);
    } else {
        begin(table, Entry::local_x2apic, 16);
        table.zeros(2).put(std::uint32_t{id}).put(enabled).put(std::uint32_t{id});
    }
}

void put_override(TableBuilder& table, unsigned irq, unsigned gsi, std::uint16_t flags) {
    begin(table, Entry::source_override, 10);
    table.put(std::uint8_t{0}).put(static_cast<std::uint8_t>(irq)).put(std::uint32_t{gsi}).put(flags);
}

} // namespace

Table madt(const Platform& platform) {
    constexpr std::uint32_t has_8259 = 1;
    TableBuilder table("APIC", 5);
    table.put(static_cast<std::uint32_t>(memory_map::local_apic)).put(has_8259);
    for (unsigned id = 0; id < platform.cpus; ++id) {
        put_processor(table, id);
    }
    begin(table, Entry::io_apic, 12);
    table.put(std::uint8_t{0}).put(std::uint8_t{0});
    table.put(static_cast<std::uint32_t>(memory_map::io_apic)).put(std::uint32_t{0});
    put_override(table, 0, 2, bus_default); // the timer: pin 0 is the 8259's
    put_override(table, platform.sci, platform.sci, active_high_level);
    for (const unsigned irq : platform.pci_irqs) {
        put_override(table, irq, irq, active_high_level);
    }
    constexpr std::uint8_t all_processors = 0xFF, lint1 = 1;
    begin(table, Entry::local_nmi, 6);
    table.put(all_processors).put(bus_default).put(lint1);
    return std::move(table).finish();
}

} // namespace strata::machine::acpi
