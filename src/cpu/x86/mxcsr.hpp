// MXCSR: the control and status register of SSE arithmetic. SDM volume 1 section 10.2.3.
#pragma once

#include <cstdint>

namespace strata::cpu::x86::mxcsr {

// Exception flags; the mask of each is `mask_shift` bits above it.
inline constexpr std::uint32_t invalid = 1 << 0, denormal = 1 << 1, divide_by_zero = 1 << 2,
                               overflow = 1 << 3, underflow = 1 << 4, precision = 1 << 5;
inline constexpr std::uint32_t flags = 0x3F;
inline constexpr unsigned mask_shift = 7;
inline constexpr std::uint32_t masks = flags << mask_shift;

inline constexpr std::uint32_t denormals_are_zero = 1 << 6, flush_to_zero = 1 << 15;
inline constexpr unsigned rounding_shift = 13;
inline constexpr std::uint32_t rounding = 3 << rounding_shift;
inline constexpr std::uint32_t misaligned = 1 << 17; // AMD: SSE memory operands need no alignment

inline constexpr std::uint32_t reset_value = masks;
// The bits that software may set, without and with `misaligned`; also MXCSR_MASK of FXSAVE.
inline constexpr std::uint32_t writable = 0xFFFF, writable_misaligned = writable | misaligned;

enum class Rounding : std::uint8_t { nearest_even, down, up, toward_zero };

[[nodiscard]] constexpr Rounding rounding_of(std::uint32_t value) {
    return static_cast<Rounding>((value & rounding) >> rounding_shift);
}

} // namespace strata::cpu::x86::mxcsr
