#include "cpu/kvm/kernel_apics.hpp"

#include "base/bytes.hpp"
#include "cpu/kvm/list.hpp"

#include <algorithm>

namespace strata::cpu::kvm {
namespace {

// Register numbers.
constexpr std::size_t id_register = 0x2, cmci_register = 0x2F;
constexpr std::uint32_t masked = 1 << 16;

} // namespace

void KernelApics::send(const InterruptMessage& message) {
    kvm_msi msi{};
    msi.address_lo = static_cast<std::uint32_t>(message.address);
    msi.address_hi = static_cast<std::uint32_t>(message.address >> 32);
    msi.data = message.data;
    // Below 0: no local APIC is addressed; then it is lost, as on a real bus.
    static_cast<void>(machine_.raw(KVM_SIGNAL_MSI, &msi));
}

// The kernel looks for them among the routes of the I/O APIC's pins.
void KernelApics::set_level_messages(std::span<const InterruptMessage> messages) {
    std::vector<kvm_irq_routing_entry> routes;
    for (const InterruptMessage& message :
         messages.first(std::min<std::size_t>(messages.size(), io_apic_pins))) {
        kvm_irq_routing_entry& route = routes.emplace_back();
        route.gsi = static_cast<std::uint32_t>(routes.size() - 1);
        route.type = KVM_IRQ_ROUTING_MSI;
        route.u.msi.address_lo = static_cast<std::uint32_t>(message.address);
        route.u.msi.address_hi = static_cast<std::uint32_t>(message.address >> 32);
        route.u.msi.data = message.data;
    }
    List list(std::span<const kvm_irq_routing_entry>{routes});
    static_cast<void>(machine_.raw(set_gsi_routing, list.address()));
}

kvm_lapic_state to_lapic(const x86::LocalApicState& state, std::uint32_t id) {
    kvm_lapic_state lapic{};
    for (std::size_t number = 0; number < state.registers.size(); ++number) {
        store_le(&lapic.regs[16 * number], state.registers[number]);
    }
    store_le(&lapic.regs[16 * id_register], id << 24); // in x2APIC mode too, unless 32-bit IDs are asked for
    return lapic;
}

x86::LocalApicState from_lapic(const kvm_lapic_state& lapic) {
    x86::LocalApicState state;
    for (std::size_t number = 0; number < state.registers.size(); ++number) {
        state.registers[number] = load_le<std::uint32_t>(&lapic.regs[16 * number]);
    }
    if (state.registers[cmci_register] == 0) {
        state.registers[cmci_register] = masked; // the kernel has no such register while there are no banks
    }
    return state;
}

} // namespace strata::cpu::kvm
