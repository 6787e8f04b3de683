#include "machine/boards/apic_gateway.hpp"

namespace strata::machine {
namespace {

// SDM volume 3 section 10.11: figures 10-24 and 10-25.
cpu::InterruptMessage written(const devices::InterruptMessage& message) {
    constexpr std::uint64_t apics = 0xFEE0'0000, logical = 1 << 2;
    constexpr std::uint32_t assert_level = 1 << 14, level_triggered = 1 << 15;
    const std::uint64_t destination = message.destination & 0xFF;
    return {.address = apics | destination << 12 | (message.logical ? logical : 0),
            .data = message.vector | static_cast<std::uint32_t>(message.mode) << 8 |
                    (message.level_triggered ? level_triggered | assert_level : 0)};
}

} // namespace

ApicGateway::ApicGateway(cpu::LocalApics& local_apics, devices::ApicBus& bus, DeviceLock& lock)
    : local_apics_(local_apics) {
    local_apics_.on_end_of_interrupt([&bus, &lock](std::uint8_t vector) {
        const std::lock_guard guard(lock);
        bus.broadcast_eoi(vector);
    });
}

void ApicGateway::carry(const devices::InterruptMessage& message) { local_apics_.send(written(message)); }

void ApicGateway::set_level_messages(std::span<const devices::InterruptMessage> messages) {
    std::vector<cpu::InterruptMessage> list;
    for (const auto& message : messages) {
        list.push_back(written(message));
    }
    local_apics_.set_level_messages(list);
}

} // namespace strata::machine
