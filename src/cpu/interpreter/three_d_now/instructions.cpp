// 3DNow! and its extensions: instructions on pairs of single-precision numbers in MM registers. AMD 3DNow!
// Technology Manual (21928); APM volume 5 by instruction.
#include "cpu/interpreter/mmx/groups.hpp"
#include "cpu/interpreter/mmx/instruction.hpp"
#include "cpu/interpreter/simd/integer_operations.hpp"
#include "cpu/interpreter/three_d_now/number.hpp"

namespace strata::cpu::interpreter::mmx {

namespace {

using namespace three_d_now;
using std::uint32_t, std::uint64_t;

uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }

uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

uint64_t join(uint32_t low_part, uint32_t high_part) { return uint64_t{high_part} << 32 | low_part; }

// An instruction takes the destination a and the source b; a lane operation their lower, then their upper
// halves.
using Lane = uint32_t (*)(uint32_t a, uint32_t b);

template <Lane operation>
uint64_t lanewise(uint64_t a, uint64_t b) {
    return join(operation(low(a), low(b)), operation(high(a), high(b)));
}

// ---- arithmetic ----

uint32_t sum(uint32_t a, uint32_t b) { return pack(add(unpack(a), unpack(b))); }

uint32_t difference(uint32_t a, uint32_t b) { return pack(add(unpack(a), negate(unpack(b)))); }

uint32_t difference_reversed(uint32_t a, uint32_t b) { return difference(b, a); }

uint32_t product(uint32_t a, uint32_t b) { return pack(multiply(unpack(a), unpack(b))); }

// Within the operands: the destination's result below the source's.
uint64_t accumulate(uint64_t a, uint64_t b) { return join(sum(low(a), high(a)), sum(low(b), high(b))); }

uint64_t accumulate_negative(uint64_t a, uint64_t b) {
    return join(difference(low(a), high(a)), difference(low(b), high(b)));
}

uint64_t accumulate_mixed(uint64_t a, uint64_t b) {
    return join(difference(low(a), high(a)), sum(low(b), high(b)));
}

// ---- comparison; a zero result is positive ----

uint32_t maximum(uint32_t a, uint32_t b) {
    const uint32_t larger = rank(a) >= rank(b) ? a : b;
    return rank(larger) == 0 ? 0 : larger;
}

uint32_t minimum(uint32_t a, uint32_t b) {
    const uint32_t smaller = rank(a) <= rank(b) ? a : b;
    return rank(smaller) == 0 ? 0 : smaller;
}

constexpr uint32_t mask(bool value) { return value ? ~uint32_t{0} : 0; }

uint32_t equal(uint32_t a, uint32_t b) { return mask(rank(a) == rank(b)); }

uint32_t greater(uint32_t a, uint32_t b) { return mask(rank(a) > rank(b)); }

uint32_t greater_or_equal(uint32_t a, uint32_t b) { return mask(rank(a) >= rank(b)); }

// ---- conversion, of the source ----

uint32_t to_doubleword(uint32_t, uint32_t b) { return static_cast<uint32_t>(to_integer(unpack(b), 32)); }

uint32_t to_word(uint32_t, uint32_t b) { return static_cast<uint32_t>(to_integer(unpack(b), 16)); }

uint32_t from_doubleword(uint32_t, uint32_t b) { return pack(from_integer(static_cast<std::int32_t>(b))); }

uint32_t from_word(uint32_t, uint32_t b) { return pack(from_integer(static_cast<std::int16_t>(b))); }

// ---- reciprocals ----

// PFRCP and PFRSQRT must be good to 14 and 15 bits. Here they are correctly rounded, and the iterations
// correct them by what is left. The intermediate result that passes from PFRCPIT1 or PFRSQIT1 to PFRCPIT2 is
// for the processor to choose: it is the correction c in x * (1 + c), whose 24 bits reach much further than
// those of 1 + c would.

constexpr Number one{.significand = 1};

uint64_t approximate_reciprocal(uint64_t, uint64_t b) {
    const uint32_t result = pack(reciprocal(unpack(low(b))));
    return join(result, result);
}

uint64_t approximate_reciprocal_square_root(uint64_t, uint64_t b) {
    const uint32_t result = pack(reciprocal_square_root(unpack(low(b))));
    return join(result, result);
}

// a: the operand; b: its approximate reciprocal x. c = 1 - a x
uint32_t reciprocal_correction(uint32_t a, uint32_t b) {
    return pack(add(one, negate(multiply(unpack(a), unpack(b)))));
}

// a: the operand; b: the square of its approximate reciprocal root x. c = (1 - a x^2) / 2
uint32_t square_root_correction(uint32_t a, uint32_t b) {
    Number square = multiply(unpack(a), unpack(b));
    square.negative = false; // a negative operand stands for its magnitude
    Number correction = add(one, negate(square));
    --correction.exponent;
    return pack(correction);
}

// a: the correction; b: the approximation.
uint32_t corrected(uint32_t a, uint32_t b) { return pack(add(unpack(b), multiply(unpack(a), unpack(b)))); }

// ---- integers ----

// The upper halves of the products, rounded.
uint64_t multiply_high_rounded_words(uint64_t a, uint64_t b) {
    return simd::map<std::int16_t>([](int x, int y) { return (x * y + 0x8000) >> 16; }, Block{a},
                                   Block{b})[0];
}

uint64_t swap_doublewords(uint64_t, uint64_t b) { return join(high(b), low(b)); }

template <auto operation>
void packed(Cpu& cpu, const Insn& insn) {
    const uint64_t b = source(cpu, insn);
    write(cpu, insn.reg, operation(read(cpu, insn.reg), b));
}

template <Lane operation>
constexpr auto lanes_row = select<packed<lanewise<operation>>>;
template <auto operation>
constexpr auto whole_row = select<packed<operation>>;

// Zydis spells two of the mnemonics its own way: PFSQRT is PFRSQRT, PFCPIT1 is PFRCPIT1.
constexpr Row rows[] = {
    STRATA_SSE(PFADD, lanes_row<sum>),
    STRATA_SSE(PFSUB, lanes_row<difference>),
    STRATA_SSE(PFSUBR, lanes_row<difference_reversed>),
    STRATA_SSE(PFMUL, lanes_row<product>),
    STRATA_SSE(PFACC, whole_row<accumulate>),
    STRATA_SSE(PFNACC, whole_row<accumulate_negative>),
    STRATA_SSE(PFPNACC, whole_row<accumulate_mixed>),
    STRATA_SSE(PFMAX, lanes_row<maximum>),
    STRATA_SSE(PFMIN, lanes_row<minimum>),
    STRATA_SSE(PFCMPEQ, lanes_row<equal>),
    STRATA_SSE(PFCMPGT, lanes_row<greater>),
    STRATA_SSE(PFCMPGE, lanes_row<greater_or_equal>),
    STRATA_SSE(PF2ID, lanes_row<to_doubleword>),
    STRATA_SSE(PF2IW, lanes_row<to_word>),
    STRATA_SSE(PI2FD, lanes_row<from_doubleword>),
    STRATA_SSE(PI2FW, lanes_row<from_word>),
    STRATA_SSE(PFRCP, whole_row<approximate_reciprocal>),
    STRATA_SSE(PFSQRT, whole_row<approximate_reciprocal_square_root>),
    STRATA_SSE(PFCPIT1, lanes_row<reciprocal_correction>),
    STRATA_SSE(PFRSQIT1, lanes_row<square_root_correction>),
    STRATA_SSE(PFRCPIT2, lanes_row<corrected>),
    STRATA_SSE(PMULHRW, whole_row<multiply_high_rounded_words>),
    STRATA_SSE(PSWAPD, whole_row<swap_doublewords>),
};

} // namespace

Rows three_d_now_rows() { return rows; }

} // namespace strata::cpu::interpreter::mmx
