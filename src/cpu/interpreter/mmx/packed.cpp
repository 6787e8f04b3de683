// MMX arithmetic, logic, comparison, shifts and rearrangements, with those that SSE and SSSE3 added: the
// operations on XMM registers (simd/*_operations.hpp), applied to blocks made of the 64-bit operands. SDM
// volume 2.
#include "cpu/interpreter/mmx/groups.hpp"
#include "cpu/interpreter/mmx/instruction.hpp"
#include "cpu/interpreter/simd/integer_operations.hpp"
#include "cpu/interpreter/simd/shift_operations.hpp"
#include "cpu/interpreter/simd/shuffle_operations.hpp"

namespace strata::cpu::interpreter::mmx {

namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

// ---- how two 64-bit operands become blocks, and a block the result ----

// Each in the lower half of its block; the lower half of the result counts.
template <auto operation>
uint64_t in_lower_halves(uint64_t a, uint64_t b) {
    return operation(Block{a}, Block{b})[0];
}

// The same for operations on the source alone.
template <auto operation>
uint64_t of_source(uint64_t, uint64_t b) {
    return operation(Block{b})[0];
}

// Where the upper half of the result counts.
template <auto operation>
uint64_t to_upper_half(uint64_t a, uint64_t b) {
    return operation(Block{a}, Block{b})[1];
}

// Side by side in the first operand, for operations that narrow the first operand into the result's lower
// half.
template <auto operation>
uint64_t side_by_side(uint64_t a, uint64_t b) {
    return operation(Block{a, b}, Block{})[0];
}

// The first operand twice, so that four-bit indices choose from it as three-bit ones do.
template <auto operation>
uint64_t with_first_doubled(uint64_t a, uint64_t b) {
    return operation(Block{a, a}, Block{b})[0];
}

template <auto operation>
void packed(Cpu& cpu, const Insn& insn) {
    const uint64_t b = source(cpu, insn);
    write(cpu, insn.reg, operation(read(cpu, insn.reg), b));
}

// Of the source's lower half, all that a memory operand has.
template <auto operation>
void unpack_low(Cpu& cpu, const Insn& insn) {
    const uint64_t b = insn.memory ? cpu.load<uint32_t>(insn) : read(cpu, insn.rm);
    write(cpu, insn.reg, in_lower_halves<operation>(read(cpu, insn.reg), b));
}

// ---- with an immediate ----

void shuffle_words(Cpu& cpu, const Insn& insn) {
    const uint64_t b = source(cpu, insn);
    write(cpu, insn.reg, simd::shuffle_quadword(b, simd::immediate(insn)));
}

void align_right(Cpu& cpu, const Insn& insn) {
    const uint64_t b = source(cpu, insn);
    write(cpu, insn.reg, simd::shift_bytes_right(Block{b, read(cpu, insn.reg)}, simd::immediate(insn))[0]);
}

// ---- shifts ----

template <simd::Shift shift>
void shift_by_source(Cpu& cpu, const Insn& insn) {
    const uint64_t count = source(cpu, insn);
    write(cpu, insn.reg, shift(Block{read(cpu, insn.reg)}, count)[0]);
}

template <simd::Shift shift>
void shift_by_immediate(Cpu& cpu, const Insn& insn) {
    write(cpu, insn.rm, shift(Block{read(cpu, insn.rm)}, simd::immediate(insn))[0]);
}

template <simd::Shift shift>
Handler select_shift(const Decoded& decoded, Insn& insn) {
    return decoded.info.raw.imm[0].size != 0 ? select<shift_by_immediate<shift>>(decoded, insn)
                                             : select<shift_by_source<shift>>(decoded, insn);
}

template <auto operation>
constexpr auto lanes_row = select<packed<in_lower_halves<operation>>>;
template <auto operation>
constexpr auto unary_row = select<packed<of_source<operation>>>;
template <auto operation>
constexpr auto narrowing_row = select<packed<side_by_side<operation>>>;

constexpr Row rows[] = {
    STRATA_SSE(PADDB, lanes_row<simd::add<uint8_t>>),
    STRATA_SSE(PADDW, lanes_row<simd::add<uint16_t>>),
    STRATA_SSE(PADDD, lanes_row<simd::add<uint32_t>>),
    STRATA_SSE(PADDQ, lanes_row<simd::add<uint64_t>>),
    STRATA_SSE(PADDSB, lanes_row<simd::add_saturated<int8_t>>),
    STRATA_SSE(PADDSW, lanes_row<simd::add_saturated<int16_t>>),
    STRATA_SSE(PADDUSB, lanes_row<simd::add_saturated<uint8_t>>),
    STRATA_SSE(PADDUSW, lanes_row<simd::add_saturated<uint16_t>>),
    STRATA_SSE(PSUBB, lanes_row<simd::sub<uint8_t>>),
    STRATA_SSE(PSUBW, lanes_row<simd::sub<uint16_t>>),
    STRATA_SSE(PSUBD, lanes_row<simd::sub<uint32_t>>),
    STRATA_SSE(PSUBQ, lanes_row<simd::sub<uint64_t>>),
    STRATA_SSE(PSUBSB, lanes_row<simd::sub_saturated<int8_t>>),
    STRATA_SSE(PSUBSW, lanes_row<simd::sub_saturated<int16_t>>),
    STRATA_SSE(PSUBUSB, lanes_row<simd::sub_saturated<uint8_t>>),
    STRATA_SSE(PSUBUSW, lanes_row<simd::sub_saturated<uint16_t>>),
    STRATA_SSE(PAVGB, lanes_row<simd::average<uint8_t>>),
    STRATA_SSE(PAVGUSB, lanes_row<simd::average<uint8_t>>), // 3DNow!'s name for it
    STRATA_SSE(PAVGW, lanes_row<simd::average<uint16_t>>),
    STRATA_SSE(PMINUB, lanes_row<simd::minimum<uint8_t>>),
    STRATA_SSE(PMINSW, lanes_row<simd::minimum<int16_t>>),
    STRATA_SSE(PMAXUB, lanes_row<simd::maximum<uint8_t>>),
    STRATA_SSE(PMAXSW, lanes_row<simd::maximum<int16_t>>),
    STRATA_SSE(PABSB, unary_row<simd::absolute<int8_t>>),
    STRATA_SSE(PABSW, unary_row<simd::absolute<int16_t>>),
    STRATA_SSE(PABSD, unary_row<simd::absolute<int32_t>>),
    STRATA_SSE(PSIGNB, lanes_row<simd::apply_sign<int8_t>>),
    STRATA_SSE(PSIGNW, lanes_row<simd::apply_sign<int16_t>>),
    STRATA_SSE(PSIGND, lanes_row<simd::apply_sign<int32_t>>),
    STRATA_SSE(PMULLW, lanes_row<simd::multiply_low<uint16_t>>),
    STRATA_SSE(PMULHW, lanes_row<simd::multiply_high<int16_t>>),
    STRATA_SSE(PMULHUW, lanes_row<simd::multiply_high<uint16_t>>),
    STRATA_SSE(PMULHRSW, lanes_row<simd::multiply_high_rounded>),
    STRATA_SSE(PMULUDQ, lanes_row<simd::multiply_even_unsigned>),
    STRATA_SSE(PMADDWD, lanes_row<simd::multiply_add_words>),
    STRATA_SSE(PMADDUBSW, lanes_row<simd::multiply_add_bytes>),
    STRATA_SSE(PSADBW, lanes_row<simd::sum_of_differences>),
    STRATA_SSE(PHADDW, narrowing_row<simd::horizontal_add<uint16_t>>),
    STRATA_SSE(PHADDD, narrowing_row<simd::horizontal_add<uint32_t>>),
    STRATA_SSE(PHADDSW, narrowing_row<simd::horizontal_add_saturated>),
    STRATA_SSE(PHSUBW, narrowing_row<simd::horizontal_sub<uint16_t>>),
    STRATA_SSE(PHSUBD, narrowing_row<simd::horizontal_sub<uint32_t>>),
    STRATA_SSE(PHSUBSW, narrowing_row<simd::horizontal_sub_saturated>),
    STRATA_SSE(PAND, lanes_row<simd::and_>),
    STRATA_SSE(PANDN, lanes_row<simd::and_not>),
    STRATA_SSE(POR, lanes_row<simd::or_>),
    STRATA_SSE(PXOR, lanes_row<simd::xor_>),
    STRATA_SSE(PCMPEQB, lanes_row<simd::equal<int8_t>>),
    STRATA_SSE(PCMPEQW, lanes_row<simd::equal<int16_t>>),
    STRATA_SSE(PCMPEQD, lanes_row<simd::equal<int32_t>>),
    STRATA_SSE(PCMPGTB, lanes_row<simd::greater<int8_t>>),
    STRATA_SSE(PCMPGTW, lanes_row<simd::greater<int16_t>>),
    STRATA_SSE(PCMPGTD, lanes_row<simd::greater<int32_t>>),
    STRATA_SSE(PSLLW, select_shift<simd::shift_left<uint16_t>>),
    STRATA_SSE(PSLLD, select_shift<simd::shift_left<uint32_t>>),
    STRATA_SSE(PSLLQ, select_shift<simd::shift_left<uint64_t>>),
    STRATA_SSE(PSRLW, select_shift<simd::shift_right<uint16_t>>),
    STRATA_SSE(PSRLD, select_shift<simd::shift_right<uint32_t>>),
    STRATA_SSE(PSRLQ, select_shift<simd::shift_right<uint64_t>>),
    STRATA_SSE(PSRAW, select_shift<simd::shift_right_arithmetic<int16_t>>),
    STRATA_SSE(PSRAD, select_shift<simd::shift_right_arithmetic<int32_t>>),
    STRATA_SSE(PACKSSWB, (narrowing_row<simd::pack<int16_t, int8_t>>)),
    STRATA_SSE(PACKUSWB, (narrowing_row<simd::pack<int16_t, uint8_t>>)),
    STRATA_SSE(PACKSSDW, (narrowing_row<simd::pack<int32_t, int16_t>>)),
    STRATA_SSE(PUNPCKLBW, select<unpack_low<simd::unpack_low<uint8_t>>>),
    STRATA_SSE(PUNPCKLWD, select<unpack_low<simd::unpack_low<uint16_t>>>),
    STRATA_SSE(PUNPCKLDQ, select<unpack_low<simd::unpack_low<uint32_t>>>),
    STRATA_SSE(PUNPCKHBW, select<packed<to_upper_half<simd::unpack_low<uint8_t>>>>),
    STRATA_SSE(PUNPCKHWD, select<packed<to_upper_half<simd::unpack_low<uint16_t>>>>),
    STRATA_SSE(PUNPCKHDQ, select<packed<to_upper_half<simd::unpack_low<uint32_t>>>>),
    STRATA_SSE(PSHUFB, select<packed<with_first_doubled<simd::shuffle_bytes>>>),
    STRATA_SSE(PSHUFW, select<shuffle_words>),
    STRATA_SSE(PALIGNR, select<align_right>),
};

} // namespace

Rows packed_rows() { return rows; }

} // namespace strata::cpu::interpreter::mmx
