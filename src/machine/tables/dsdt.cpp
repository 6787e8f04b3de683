// The Differentiated System Description Table: what can't be found by looking at the hardware. ACPI
// Specification 6.5, section 5.2.11.1 and chapters 5.6, 6 and 9.
#include "devices/acpi_pm.hpp"
#include "devices/fw_cfg.hpp"
#include "devices/pci/bus.hpp"
#include "devices/pvpanic.hpp"
#include "machine/memory_map.hpp"
#include "machine/tables/acpi_table.hpp"
#include "machine/tables/aml.hpp"

#include <fmt/format.h>

namespace strata::machine::acpi {
namespace {

using namespace aml;
using devices::AcpiPm;

// _PRT, section 6.2.13: each slot's pins to interrupts that never change.
Term interrupt_routing(const Platform& platform) {
    constexpr std::uint64_t any_function = 0xFFFF;
    Terms entries;
    for (unsigned slot = 0; slot < devices::pci::Bus::slots; ++slot) {
        for (unsigned pin = 0; pin < devices::pci::Bus::lines; ++pin) {
            const unsigned irq = platform.pci_irqs[devices::pci::Bus::line_of(slot, pin)];
            entries.push_back(package({integer((std::uint64_t{slot} << 16) | any_function), integer(pin),
                                       integer(0), integer(irq)}));
        }
    }
    return name("_PRT", package(entries));
}

Term windows(const Platform& platform) {
    const auto bus = bus_numbers(0, memory_map::last_pci_bus);
    const auto config_ports = io(0xCF8, 8);
    const auto low_ports = io_window(0, 0xCF7), high_ports = io_window(0xD00, 0xFFFF);
    const auto memory = memory_window(memory_map::pci_window, memory_map::pci_window_size);
    if (platform.pci_window64_size == 0) {
        return resources({bus, config_ports, low_ports, high_ports, memory});
    }
    const auto memory64 = memory_window64(platform.pci_window64, platform.pci_window64_size);
    return resources({bus, config_ports, low_ports, high_ports, memory, memory64});
}

Term pci_root(const Platform& platform) {
    // _OSC, section 6.2.11: the guest may take whatever it asks for, so its request comes back as it is.
    return device("PCI0", {name("_HID", eisa_id("PNP0A08")), name("_CID", eisa_id("PNP0A03")),
                           name("_UID", integer(0)), name("_SEG", integer(0)), name("_BBN", integer(0)),
                           name("_CRS", windows(platform)), interrupt_routing(platform),
                           method("_OSC", 4, {return_value(argument(3))})});
}

// What no other device claims, so that a guest puts nothing there.
Term motherboard() {
    return device("MBRD", {name("_HID", eisa_id("PNP0C02")), name("_UID", integer(0)),
                           name("_CRS", resources({memory32_fixed(memory_map::ecam, memory_map::ecam_size),
                                                   io(AcpiPm::default_base, AcpiPm::length)}))});
}

Term clock() {
    constexpr std::uint16_t base = 0x70;
    constexpr unsigned rtc_irq = 8;
    return device("RTC0",
                  {name("_HID", eisa_id("PNP0B00")), name("_CRS", resources({io(base, 2), irq(rtc_irq)}))});
}

Term serial(unsigned number, const SerialPort& port) {
    constexpr std::uint8_t registers = 8;
    return device(fmt::format("COM{}", number + 1),
                  {name("_HID", eisa_id("PNP0501")), name("_UID", integer(number)),
                   name("_CRS", resources({io(port.base, registers), irq(port.irq)}))});
}

Term panic_device() {
    return device(
        "PEVT", {name("_HID", string("QEMU0001")), name("_CRS", resources({io(devices::PvPanic::port, 1)}))});
}

Term firmware_configuration() {
    constexpr std::uint8_t registers = 12;
    return device("FWCF", {name("_HID", string("QEMU0002")),
                           name("_CRS", resources({io(devices::FwCfg::base, registers)}))});
}

Term processor(unsigned id) {
    return device(fmt::format("C{:03X}", id), {name("_HID", string("ACPI0007")), name("_UID", integer(id))});
}

} // namespace

Table dsdt(const Platform& platform) {
    Terms devices{pci_root(platform), motherboard(), clock(), panic_device(), firmware_configuration()};
    for (unsigned i = 0; i < platform.serial_ports.size(); ++i) {
        devices.push_back(serial(i, platform.serial_ports[i]));
    }
    for (unsigned id = 0; id < platform.cpus; ++id) {
        devices.push_back(processor(id));
    }
    const auto s5 = integer(AcpiPm::sleep_type_s5);
    TableBuilder table("DSDT", 2);
    table.append(scope("\\_SB", devices).bytes);
    table.append(name("\\_S5", package({s5, s5, integer(0), integer(0)})).bytes);
    return std::move(table).finish();
}

} // namespace strata::machine::acpi
