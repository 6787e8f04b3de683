// Memory accesses a lane at a time, under a mask of sign bits.
#pragma once

#include "cpu/interpreter/simd/operands.hpp"

#include <type_traits>

namespace strata::cpu::interpreter::simd {

template <class T>
[[nodiscard]] constexpr bool is_selected(T mask) {
    return static_cast<std::make_signed_t<T>>(mask) < 0;
}

template <class T>
[[nodiscard]] inline std::uint64_t lane_offset(const Insn& insn, std::uint64_t offset, std::size_t lane) {
    return Cpu::masked_address(insn, offset + lane * sizeof(T));
}

// Stores the lanes of `value` whose mask is set to [segment:offset]; all or, if one faults, none.
template <class T, std::size_t blocks>
void store_selected(Cpu& cpu, const Insn& insn, std::uint64_t offset, const Vector<blocks>& value,
                    const Vector<blocks>& mask) {
    using Array = std::array<T, blocks * lane_count<T>>;
    const auto selected = std::bit_cast<Array>(mask);
    const auto values = std::bit_cast<Array>(value);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (is_selected(selected[i])) {
            const auto lane = lane_offset<T>(insn, offset, i);
            cpu.probe_linear(cpu.linear(insn.segment, lane, sizeof(T), Access::write), sizeof(T),
                             Access::write);
        }
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (is_selected(selected[i])) {
            cpu.store<T>(insn.segment, lane_offset<T>(insn, offset, i), values[i]);
        }
    }
}

} // namespace strata::cpu::interpreter::simd
