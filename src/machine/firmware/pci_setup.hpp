// What firmware does to PCI before a kernel starts: gives every base address register a place, switches
// decoding on, and notes the interrupt line. Kernels that do not do this themselves rely on it. PCI Firmware
// Specification 3.3.
#pragma once

#include "devices/pci/bus.hpp"

#include <array>

namespace strata::machine {

// `irqs`: what the bus's interrupt lines are wired to.
void set_up_pci(devices::pci::Bus& bus, const std::array<unsigned, devices::pci::Bus::lines>& irqs);

} // namespace strata::machine
