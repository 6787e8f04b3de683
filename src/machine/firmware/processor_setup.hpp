// How firmware leaves the processors: memory types, and the boot processor's local APIC in virtual wire mode.
#pragma once

#include "cpu/x86/state.hpp"
#include "devices/irq/local_apic.hpp"

namespace strata::machine {

// All memory write-back but what page attributes say. SDM volume 3 section 11.11.
void set_memory_types(cpu::x86::State& state);

// The 8259 pair interrupts through LINT0, NMIs through LINT1. Multiprocessor Specification 1.4,
// section 3.6.2.2.
void set_virtual_wire(devices::LocalApic& apic);

} // namespace strata::machine
