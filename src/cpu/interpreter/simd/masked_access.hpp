// Memory accesses a lane at a time, under a mask of sign bits.
#pragma once

#include "cpu/interpreter/memory_block.hpp"
#include "cpu/interpreter/simd/operands.hpp"

#include <bit>
#include <type_traits>

namespace strata::cpu::interpreter::simd {

template <class T>
[[nodiscard]] constexpr bool is_selected(T mask) {
    return static_cast<std::make_signed_t<T>>(mask) < 0;
}

// Of an operand at `offset`; like other operands it does not wrap within its segment.
template <class T>
[[nodiscard]] inline std::uint64_t lane_offset(std::uint64_t offset, std::size_t lane) {
    return offset + lane * sizeof(T);
}

// A lane of the memory operand; such instructions are exempt from alignment checking.
template <class T>
[[nodiscard]] inline T load_lane(Cpu& cpu, const Insn& insn, std::uint64_t offset) {
    std::array<std::uint8_t, sizeof(T)> bytes;
    if ((cpu.other_flags & x86::flag::ac) == 0) [[likely]] {
        return cpu.load<T>(insn.segment, offset);
    }
    load_block<std::uint8_t>(cpu, insn.segment, offset, bytes);
    return std::bit_cast<T>(bytes);
}

template <class T>
inline void store_lane(Cpu& cpu, const Insn& insn, std::uint64_t offset, T value) {
    if ((cpu.other_flags & x86::flag::ac) == 0) [[likely]] {
        cpu.store<T>(insn.segment, offset, value);
        return;
    }
    const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
    store_block<std::uint8_t>(cpu, insn.segment, offset, bytes);
}

// Faults as stores of all of the operand's quadwords would; the manuals leave it open, and processors do it,
// for MASKMOVQ and MASKMOVDQU.
template <class Operand>
inline void probe_whole(Cpu& cpu, const Insn& insn, std::uint64_t offset) {
    constexpr unsigned part = 8;
    const std::uint64_t linear = cpu.linear(insn.segment, offset, sizeof(Operand), Access::write);
    for (unsigned i = 0; i < sizeof(Operand); i += part) {
        cpu.probe_at(linear + i, part, Access::write, insn.segment);
    }
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
            probe_block(cpu, insn.segment, lane_offset<T>(offset, i), sizeof(T), Access::write);
        }
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (is_selected(selected[i])) {
            store_lane<T>(cpu, insn, lane_offset<T>(offset, i), values[i]);
        }
    }
}

} // namespace strata::cpu::interpreter::simd
