// Blends: lanes of two sources, chosen by an immediate or by the signs of a third. SDM volume 2, by
// instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

template <class T>
Block blend_lanes(Block a, Block b, std::uint8_t chosen) {
    return blend(a, b, lane_mask<T>(chosen));
}

// The mask's register is insn.extra: 0 in the legacy form, which implies XMM0.
template <class T, std::size_t blocks>
void blend_variable(Cpu& cpu, const Insn& insn) {
    const auto b = source<blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv),
               mask = read<blocks>(cpu, insn.extra);
    Vector<blocks> result;
    for (std::size_t i = 0; i < blocks; ++i) {
        result[i] = blend(a[i], b[i], sign_mask<T>(mask[i]));
    }
    write(cpu, insn, result);
}

template <class T>
Handler select_variable(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &blend_variable<T, 1>, &blend_variable<T, 2>);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(BLENDPS, packed<blend_lanes<std::uint32_t>, 4>),
    STRATA_SSE_AVX(BLENDPD, packed<blend_lanes<std::uint64_t>, 2>),
    STRATA_SSE_AVX(PBLENDW, packed<blend_lanes<std::uint16_t>>),
    STRATA_SSE(VPBLENDD, packed<blend_lanes<std::uint32_t>, 4>),
    STRATA_SSE_AVX(BLENDVPS, select_variable<std::int32_t>),
    STRATA_SSE_AVX(BLENDVPD, select_variable<std::int64_t>),
    STRATA_SSE_AVX(PBLENDVB, select_variable<std::int8_t>),
};

} // namespace

constinit const Rows blend_rows = rows;

} // namespace strata::cpu::interpreter::simd
