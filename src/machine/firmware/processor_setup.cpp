#include "machine/firmware/processor_setup.hpp"

namespace strata::machine {

void set_memory_types(cpu::x86::State& state) {
    constexpr std::uint64_t enabled = 1 << 11, write_back = 6;
    state.system.mtrr_def_type = enabled | write_back;
}

void set_virtual_wire(devices::LocalApic& apic) {
    constexpr std::uint64_t spurious = 0xF0, lint0 = 0x350, lint1 = 0x360; // offsets of registers
    constexpr std::uint32_t software_enable = 1 << 8, spurious_vector = 0xFF;
    constexpr std::uint32_t external_interrupt = 7 << 8, nmi = 4 << 8; // delivery modes
    apic.write(0, spurious, 4, software_enable | spurious_vector);
    apic.write(0, lint0, 4, external_interrupt);
    apic.write(0, lint1, 4, nmi);
}

} // namespace strata::machine
