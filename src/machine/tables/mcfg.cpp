// The table of PCI Express configuration spaces. PCI Firmware Specification 3.3, section 4.1.2.
#include "machine/memory_map.hpp"
#include "machine/tables/acpi_table.hpp"

namespace strata::machine::acpi {

Table mcfg() {
    TableBuilder table("MCFG", 1);
    table.zeros(8);
    table.put(std::uint64_t{memory_map::ecam}).put(std::uint16_t{0}); // segment group 0
    table.put(std::uint8_t{0}).put(memory_map::last_pci_bus).zeros(4);
    return std::move(table).finish();
}

} // namespace strata::machine::acpi
