// Rearrangements across 128-bit blocks: VPERM2F128, VPERMQ, VPERMD, VBROADCAST*; and widening: PMOVSX*,
// PMOVZX*. SDM volume 2, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

// ---- permutations of 256 bits ----

void permute_blocks(Cpu& cpu, const Insn& insn) {
    const auto b = source<2>(cpu, insn), a = read<2>(cpu, insn.vvvv);
    const auto choose = [&](unsigned control) {
        constexpr unsigned zero = 8, from_b = 2;
        return control & zero ? Block{} : (control & from_b ? b : a)[control & 1];
    };
    write(cpu, insn, Vector<2>{choose(immediate(insn)), choose(immediate(insn) >> 4U)});
}

void permute_quadwords(Cpu& cpu, const Insn& insn) {
    const auto b = std::bit_cast<std::array<uint64_t, 4>>(source<2>(cpu, insn));
    std::array<uint64_t, 4> result;
    for (unsigned i = 0; i < 4; ++i) {
        result[i] = b[immediate(insn) >> 2 * i & 3];
    }
    write(cpu, insn, std::bit_cast<Vector<2>>(result));
}

void permute_doublewords(Cpu& cpu, const Insn& insn) {
    const auto b = std::bit_cast<std::array<uint32_t, 8>>(source<2>(cpu, insn));
    const auto from = std::bit_cast<std::array<uint32_t, 8>>(read<2>(cpu, insn.vvvv));
    std::array<uint32_t, 8> result;
    for (unsigned i = 0; i < 8; ++i) {
        result[i] = b[from[i] & 7];
    }
    write(cpu, insn, std::bit_cast<Vector<2>>(result));
}

template <Handler handler>
Handler fixed_256(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, nullptr, handler);
}

// ---- broadcasts: the lowest element of r/m, to all ----

template <class T, std::size_t blocks>
void broadcast(Cpu& cpu, const Insn& insn) {
    const Block all = to_block(Lanes<T>{} + lanes<T>(low_source<T>(cpu, insn))[0]);
    Vector<blocks> result;
    result.fill(all);
    write(cpu, insn, result);
}

template <class T>
Handler select_broadcast(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &broadcast<T, 1>, &broadcast<T, 2>);
}

void broadcast_block(Cpu& cpu, const Insn& insn) {
    const Block value = source<1>(cpu, insn)[0];
    write(cpu, insn, Vector<2>{value, value});
}

// ---- widening: lanes of From, from as many low bytes as they take, to lanes of To ----

template <class From, class To, std::size_t blocks>
void extend(Cpu& cpu, const Insn& insn) {
    constexpr unsigned count = lane_count<To> * blocks;
    Block b;
    if constexpr (count * sizeof(From) == 16) {
        b = source<1>(cpu, insn)[0];
    } else {
        using Memory = std::conditional_t<count * sizeof(From) == 8, uint64_t,
                                          std::conditional_t<count * sizeof(From) == 4, uint32_t, uint16_t>>;
        b = low_source<Memory>(cpu, insn);
    }
    Vector<blocks> result;
    for (unsigned block = 0; block < blocks; ++block) {
        Lanes<To> extended{};
        for (unsigned i = 0; i < lane_count<To>; ++i) {
            extended[i] = lanes<From>(b)[block * lane_count<To> + i];
        }
        result[block] = to_block(extended);
    }
    write(cpu, insn, result);
}

template <class From, class To>
Handler select_extend(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &extend<From, To, 1>, &extend<From, To, 2>);
}

constexpr Row rows[] = {
    STRATA_SSE(VPERM2F128, fixed_256<&permute_blocks>),
    STRATA_SSE(VPERM2I128, fixed_256<&permute_blocks>),
    STRATA_SSE(VPERMQ, fixed_256<&permute_quadwords>),
    STRATA_SSE(VPERMPD, fixed_256<&permute_quadwords>),
    STRATA_SSE(VPERMD, fixed_256<&permute_doublewords>),
    STRATA_SSE(VPERMPS, fixed_256<&permute_doublewords>),
    STRATA_SSE(VBROADCASTSS, select_broadcast<uint32_t>),
    STRATA_SSE(VBROADCASTSD, select_broadcast<uint64_t>),
    STRATA_SSE(VPBROADCASTB, select_broadcast<uint8_t>),
    STRATA_SSE(VPBROADCASTW, select_broadcast<uint16_t>),
    STRATA_SSE(VPBROADCASTD, select_broadcast<uint32_t>),
    STRATA_SSE(VPBROADCASTQ, select_broadcast<uint64_t>),
    STRATA_SSE(VBROADCASTF128, fixed_256<&broadcast_block>),
    STRATA_SSE(VBROADCASTI128, fixed_256<&broadcast_block>),
    STRATA_SSE_AVX(PMOVSXBW, select_extend<int8_t, int16_t>),
    STRATA_SSE_AVX(PMOVSXBD, select_extend<int8_t, int32_t>),
    STRATA_SSE_AVX(PMOVSXBQ, select_extend<int8_t, int64_t>),
    STRATA_SSE_AVX(PMOVSXWD, select_extend<int16_t, int32_t>),
    STRATA_SSE_AVX(PMOVSXWQ, select_extend<int16_t, int64_t>),
    STRATA_SSE_AVX(PMOVSXDQ, select_extend<int32_t, int64_t>),
    STRATA_SSE_AVX(PMOVZXBW, select_extend<uint8_t, uint16_t>),
    STRATA_SSE_AVX(PMOVZXBD, select_extend<uint8_t, uint32_t>),
    STRATA_SSE_AVX(PMOVZXBQ, select_extend<uint8_t, uint64_t>),
    STRATA_SSE_AVX(PMOVZXWD, select_extend<uint16_t, uint32_t>),
    STRATA_SSE_AVX(PMOVZXWQ, select_extend<uint16_t, uint64_t>),
    STRATA_SSE_AVX(PMOVZXDQ, select_extend<uint32_t, uint64_t>),
};

} // namespace

constinit const Rows permute_rows = rows;

} // namespace strata::cpu::interpreter::simd
