// Bits of the local APIC's registers. SDM volume 3 chapter 10.
#pragma once

#include "base/bits.hpp"
#include "devices/irq/message.hpp"

#include <cstdint>

namespace strata::devices {

inline constexpr std::uint8_t first_legal_vector = 16;
inline constexpr std::uint32_t flat_model = 0xF;                 // DFR bits 31:28
inline constexpr std::uint32_t suppress_eoi_broadcast = 1 << 12; // of the spurious-interrupt vector register

// Local vector table entries (section 10.5.1).
namespace lvt {
inline constexpr std::uint32_t level = 1 << 15, masked = 1 << 16;

[[nodiscard]] constexpr DeliveryMode mode(std::uint32_t entry) {
    return static_cast<DeliveryMode>(bits(entry, 10, 8));
}
} // namespace lvt

// Error status (section 10.5.3).
namespace esr {
inline constexpr std::uint32_t send_illegal_vector = 1 << 5, receive_illegal_vector = 1 << 6,
                               illegal_register = 1 << 7;
}

// Interrupt command (section 10.6.1).
namespace icr {
inline constexpr std::uint32_t logical = 1 << 11, assert = 1 << 14, level = 1 << 15;

enum class Shorthand : std::uint8_t { none, self, all_including_self, all_excluding_self };
} // namespace icr

} // namespace strata::devices
