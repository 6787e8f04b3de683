// Bitwise logic, integer comparisons to masks, and the tests that set flags: PTEST, VTESTPS, VTESTPD.
// SDM volume 2, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;

// ZF: no bit of both; CF: no bit of the source alone. Only the bits of `mask` count.
template <std::uint64_t mask, std::size_t blocks>
void test(Cpu& cpu, const Insn& insn) {
    const auto b = source<blocks>(cpu, insn), a = read<blocks>(cpu, insn.reg);
    Block both{}, source_alone{};
    for (std::size_t i = 0; i < blocks; ++i) {
        both |= a[i] & b[i];
        source_alone |= ~a[i] & b[i];
    }
    const bool zero = ((both[0] | both[1]) & mask) == 0,
               carry = ((source_alone[0] | source_alone[1]) & mask) == 0;
    cpu.flags.set_arithmetic((zero ? x86::flag::zf : 0) | (carry ? x86::flag::cf : 0));
}

template <std::uint64_t mask>
Handler select_test(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &test<mask, 1>, &test<mask, 2>);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PAND, packed<and_>),
    STRATA_SSE_AVX(ANDPS, packed<and_>),
    STRATA_SSE_AVX(ANDPD, packed<and_>),
    STRATA_SSE_AVX(PANDN, packed<and_not>),
    STRATA_SSE_AVX(ANDNPS, packed<and_not>),
    STRATA_SSE_AVX(ANDNPD, packed<and_not>),
    STRATA_SSE_AVX(POR, packed<or_>),
    STRATA_SSE_AVX(ORPS, packed<or_>),
    STRATA_SSE_AVX(ORPD, packed<or_>),
    STRATA_SSE_AVX(PXOR, packed<xor_>),
    STRATA_SSE_AVX(XORPS, packed<xor_>),
    STRATA_SSE_AVX(XORPD, packed<xor_>),
    STRATA_SSE_AVX(PCMPEQB, packed<equal<int8_t>>),
    STRATA_SSE_AVX(PCMPEQW, packed<equal<int16_t>>),
    STRATA_SSE_AVX(PCMPEQD, packed<equal<int32_t>>),
    STRATA_SSE_AVX(PCMPEQQ, packed<equal<int64_t>>),
    STRATA_SSE_AVX(PCMPGTB, packed<greater<int8_t>>),
    STRATA_SSE_AVX(PCMPGTW, packed<greater<int16_t>>),
    STRATA_SSE_AVX(PCMPGTD, packed<greater<int32_t>>),
    STRATA_SSE_AVX(PCMPGTQ, packed<greater<int64_t>>),
    STRATA_SSE_AVX(PTEST, select_test<~std::uint64_t{0}>),
    STRATA_SSE(VTESTPS, select_test<0x8000'0000'8000'0000>),
    STRATA_SSE(VTESTPD, select_test<0x8000'0000'0000'0000>),
};

} // namespace

constinit const Rows logic_rows = rows;

} // namespace strata::cpu::interpreter::simd
