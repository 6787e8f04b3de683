// An interrupt message between local APICs, I/O APICs and devices. SDM volume 3 sections 10.6.1, 10.11.
#pragma once

#include <cstdint>

namespace strata::devices {

enum class DeliveryMode : std::uint8_t {
    fixed = 0,
    lowest_priority = 1,
    smi = 2,
    reserved = 3,
    nmi = 4,
    init = 5,
    startup = 6,
    external = 7,
};

// Every local APIC, in any destination mode.
inline constexpr std::uint32_t broadcast_destination = 0xFFFF'FFFF;

struct InterruptMessage {
    std::uint32_t destination = 0;
    bool logical = false; // destination mode: a set of logical IDs, or one physical ID
    DeliveryMode mode = DeliveryMode::fixed;
    std::uint8_t vector = 0;
    bool level_triggered = false;
};

// The 8-bit destination of MSI, of I/O APIC entries and of xAPIC mode, in 32 bits.
[[nodiscard]] constexpr std::uint32_t widen_destination(std::uint8_t destination) {
    return destination == 0xFF ? broadcast_destination : destination;
}

} // namespace strata::devices
