// The operands of vector instructions, and the one place that knows how the encodings differ: a legacy SSE
// instruction's first source is its destination (select_form() makes vvvv say so), it leaves bits 255:128 of
// the destination alone, and its 16-byte memory operand must be aligned; a VEX-encoded one has a third
// register, clears what lies above its result, and reads memory at any address. SDM volume 1 sections 14.1
// and 14.9.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/x86/block.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace strata::cpu::interpreter::simd {

using x86::Block;
using x86::lane_count;
using x86::Lanes;
using x86::lanes;
using x86::low_lane;
using x86::to_block;

// An XMM register's contents, or a YMM register's.
template <std::size_t blocks>
using Vector = std::array<Block, blocks>;

template <std::size_t blocks>
[[nodiscard]] inline Vector<blocks> read(const Cpu& cpu, unsigned number) {
    Vector<blocks> value;
    std::memcpy(&value, &cpu.fp.ymm[number], sizeof value);
    return value;
}

[[nodiscard]] inline Block read_block(const Cpu& cpu, unsigned number) { return read<1>(cpu, number)[0]; }

// Writes register `number` by the rule of insn's encoding.
template <std::size_t blocks>
inline void write_register(Cpu& cpu, const Insn& insn, unsigned number, const Vector<blocks>& value) {
    auto& destination = cpu.fp.ymm[number].lanes;
    std::memcpy(&destination, &value, sizeof value);
    if (blocks == 1 && insn.vex) {
        destination[2] = 0;
        destination[3] = 0;
    }
}

// Writes the destination.
template <std::size_t blocks>
inline void write(Cpu& cpu, const Insn& insn, const Vector<blocks>& value) {
    write_register(cpu, insn, insn.reg, value);
}

inline void write(Cpu& cpu, const Insn& insn, Block value) { write<1>(cpu, insn, {value}); }

// The memory operand, as an aligned access; #GP if it is not.
template <std::size_t blocks>
[[nodiscard]] Vector<blocks> load_aligned(Cpu& cpu, const Insn& insn);
template <std::size_t blocks>
void store_aligned(Cpu& cpu, const Insn& insn, Vector<blocks> value);

// The memory operand as an instruction's source: a legacy one must be aligned (but for AMD's MXCSR.MM).
template <std::size_t blocks>
[[nodiscard]] Vector<blocks> load_source(Cpu& cpu, const Insn& insn);

// The r/m operand, whole.
template <std::size_t blocks>
[[nodiscard]] inline Vector<blocks> source(Cpu& cpu, const Insn& insn) {
    return insn.memory ? load_source<blocks>(cpu, insn) : read<blocks>(cpu, insn.rm);
}

// The r/m operand of which only the low T counts; memory may be anywhere.
template <class T>
[[nodiscard]] inline Block low_source(Cpu& cpu, const Insn& insn) {
    return insn.memory ? low_lane<T>(cpu.load<T>(insn)) : read_block(cpu, insn.rm);
}

[[nodiscard]] inline std::uint8_t immediate(const Insn& insn) { return static_cast<std::uint8_t>(insn.imm); }

} // namespace strata::cpu::interpreter::simd
