// Packed shifts: by one count for all lanes, from a register or an immediate; by a count a lane; by whole
// bytes. SDM volume 2B, PSLLW and following; volume 2C, VPSLLVW and following.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/select.hpp"
#include "cpu/interpreter/simd/shift_operations.hpp"

#include <algorithm>

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

template <class T>
Block shift_lanes_left(Block a, Block counts) {
    return map<T>([](T value, T count) { return count < width_of<T> ? value << count : T{0}; }, a, counts);
}

template <class T>
Block shift_lanes_right(Block a, Block counts) {
    return map<T>([](T value, T count) { return count < width_of<T> ? value >> count : T{0}; }, a, counts);
}

Block shift_lanes_right_arithmetic(Block a, Block counts) {
    return map<uint32_t>(
        [](uint32_t value, uint32_t count) { return static_cast<int32_t>(value) >> std::min(count, 31U); }, a,
        counts);
}

template <std::size_t blocks>
void write_shifted(Cpu& cpu, const Insn& insn, Shift shift, Vector<blocks> value, uint64_t count) {
    for (Block& block : value) {
        block = shift(block, count);
    }
    write(cpu, insn, value);
}

// The count is the low 64 bits of 128, whatever the vector's length.
template <Shift shift, std::size_t blocks>
void by_register(Cpu& cpu, const Insn& insn) {
    const uint64_t count = source<1>(cpu, insn)[0][0];
    write_shifted(cpu, insn, shift, read<blocks>(cpu, insn.vvvv), count);
}

// The destination is vvvv, or r/m in the legacy form; ModRM.reg is part of the opcode.
template <Shift shift, std::size_t blocks>
void by_immediate(Cpu& cpu, const Insn& insn) {
    write_shifted(cpu, insn, shift, read<blocks>(cpu, insn.rm), immediate(insn));
}

template <Shift shift>
Handler select_immediate(const Decoded& decoded, Insn& insn) {
    insn.reg = insn.vex ? insn.vvvv : insn.rm;
    return select_form(decoded, insn, &by_immediate<shift, 1>, &by_immediate<shift, 2>);
}

template <Shift shift>
Handler select_shift(const Decoded& decoded, Insn& insn) {
    if (decoded.info.raw.imm[0].size != 0) {
        return select_immediate<shift>(decoded, insn);
    }
    return select_form(decoded, insn, &by_register<shift, 1>, &by_register<shift, 2>);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PSLLW, select_shift<shift_left<uint16_t>>),
    STRATA_SSE_AVX(PSLLD, select_shift<shift_left<uint32_t>>),
    STRATA_SSE_AVX(PSLLQ, select_shift<shift_left<uint64_t>>),
    STRATA_SSE_AVX(PSRLW, select_shift<shift_right<uint16_t>>),
    STRATA_SSE_AVX(PSRLD, select_shift<shift_right<uint32_t>>),
    STRATA_SSE_AVX(PSRLQ, select_shift<shift_right<uint64_t>>),
    STRATA_SSE_AVX(PSRAW, select_shift<shift_right_arithmetic<int16_t>>),
    STRATA_SSE_AVX(PSRAD, select_shift<shift_right_arithmetic<int32_t>>),
    STRATA_SSE_AVX(PSLLDQ, select_immediate<shift_bytes_left>),
    STRATA_SSE_AVX(PSRLDQ, select_immediate<shift_bytes_right>),
    STRATA_SSE(VPSLLVD, packed<shift_lanes_left<uint32_t>>),
    STRATA_SSE(VPSLLVQ, packed<shift_lanes_left<uint64_t>>),
    STRATA_SSE(VPSRLVD, packed<shift_lanes_right<uint32_t>>),
    STRATA_SSE(VPSRLVQ, packed<shift_lanes_right<uint64_t>>),
    STRATA_SSE(VPSRAVD, packed<shift_lanes_right_arithmetic>),
};

} // namespace

constinit const Rows shift_rows = rows;

} // namespace strata::cpu::interpreter::simd
