// Rearrangements within 128-bit blocks: PSHUF*, SHUF*, UNPCK*, PUNPCK*, PACK*, PALIGNR, VPERMIL*, MOV*DUP.
// SDM volume 2, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/select.hpp"
#include "cpu/interpreter/simd/shuffle_operations.hpp"

#include <array>

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

// ---- chosen by the immediate ----

Block shuffle_doublewords(Block b, uint8_t order) {
    Lanes<uint32_t> result{};
    for (unsigned i = 0; i < 4; ++i) {
        result[i] = lanes<uint32_t>(b)[order >> 2 * i & 3];
    }
    return to_block(result);
}

Block shuffle_low_words(Block b, uint8_t order) { return Block{shuffle_quadword(b[0], order), b[1]}; }

Block shuffle_high_words(Block b, uint8_t order) { return Block{b[0], shuffle_quadword(b[1], order)}; }

// The lower two lanes come from a, the upper from b.
Block shuffle_singles(Block a, Block b, uint8_t order) {
    const auto x = lanes<uint32_t>(a), y = lanes<uint32_t>(b);
    return to_block(Lanes<uint32_t>{x[order & 3], x[order >> 2 & 3], y[order >> 4 & 3], y[order >> 6 & 3]});
}

Block shuffle_doubles(Block a, Block b, uint8_t order) { return Block{a[order & 1], b[order >> 1 & 1]}; }

Block permute_doubles(Block b, uint8_t order) { return shuffle_doubles(b, b, order); }

// The 16 bytes from byte `offset` of a:b.
Block align_right(Block a, Block b, uint8_t offset) {
    const std::array<Block, 3> bytes{b, a, Block{}};
    Block result{};
    if (offset < 32) {
        std::memcpy(&result, reinterpret_cast<const char*>(&bytes) + offset, sizeof result);
    }
    return result;
}

// ---- chosen by a register ----

Block permute_singles_by(Block a, Block b) {
    return map<uint32_t>([&](uint32_t control) { return lanes<uint32_t>(a)[control & 3]; }, b);
}

Block permute_doubles_by(Block a, Block b) {
    return map<uint64_t>([&](uint64_t control) { return a[control >> 1 & 1]; }, b);
}

// ---- fixed ----

Block duplicate_even(Block b) {
    return rearrange<uint32_t>(b, b, [](int i) { return i & ~1; });
}

Block duplicate_odd(Block b) {
    return rearrange<uint32_t>(b, b, [](int i) { return i | 1; });
}

Block duplicate_low(Block b) { return Block{b[0], b[0]}; }

void duplicate_low_scalar(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, duplicate_low(low_source<uint64_t>(cpu, insn)));
}

Handler select_duplicate_low(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &duplicate_low_scalar, &packed_handler<duplicate_low, 0, 2>);
}

template <auto by_immediate, unsigned immediate_step, auto by_register>
Handler select_permute(const Decoded& decoded, Insn& insn) {
    return decoded.info.raw.imm[0].size != 0 ? packed<by_immediate, immediate_step>(decoded, insn)
                                             : packed<by_register>(decoded, insn);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PSHUFD, packed<shuffle_doublewords>),
    STRATA_SSE_AVX(PSHUFLW, packed<shuffle_low_words>),
    STRATA_SSE_AVX(PSHUFHW, packed<shuffle_high_words>),
    STRATA_SSE_AVX(SHUFPS, packed<shuffle_singles>),
    STRATA_SSE_AVX(SHUFPD, packed<shuffle_doubles, 2>),
    STRATA_SSE_AVX(PALIGNR, packed<align_right>),
    STRATA_SSE_AVX(PSHUFB, packed<shuffle_bytes>),
    STRATA_SSE(VPERMILPS, select_permute<shuffle_doublewords, 0, permute_singles_by>),
    STRATA_SSE(VPERMILPD, select_permute<permute_doubles, 2, permute_doubles_by>),
    STRATA_SSE_AVX(PUNPCKLBW, packed<unpack_low<uint8_t>>),
    STRATA_SSE_AVX(PUNPCKLWD, packed<unpack_low<uint16_t>>),
    STRATA_SSE_AVX(PUNPCKLDQ, packed<unpack_low<uint32_t>>),
    STRATA_SSE_AVX(PUNPCKLQDQ, packed<unpack_low<uint64_t>>),
    STRATA_SSE_AVX(UNPCKLPS, packed<unpack_low<uint32_t>>),
    STRATA_SSE_AVX(UNPCKLPD, packed<unpack_low<uint64_t>>),
    STRATA_SSE_AVX(PUNPCKHBW, packed<unpack_high<uint8_t>>),
    STRATA_SSE_AVX(PUNPCKHWD, packed<unpack_high<uint16_t>>),
    STRATA_SSE_AVX(PUNPCKHDQ, packed<unpack_high<uint32_t>>),
    STRATA_SSE_AVX(PUNPCKHQDQ, packed<unpack_high<uint64_t>>),
    STRATA_SSE_AVX(UNPCKHPS, packed<unpack_high<uint32_t>>),
    STRATA_SSE_AVX(UNPCKHPD, packed<unpack_high<uint64_t>>),
    STRATA_SSE_AVX(PACKSSWB, packed<pack<int16_t, int8_t>>),
    STRATA_SSE_AVX(PACKUSWB, packed<pack<int16_t, uint8_t>>),
    STRATA_SSE_AVX(PACKSSDW, packed<pack<int32_t, int16_t>>),
    STRATA_SSE_AVX(PACKUSDW, packed<pack<int32_t, uint16_t>>),
    STRATA_SSE_AVX(MOVSLDUP, packed<duplicate_even>),
    STRATA_SSE_AVX(MOVSHDUP, packed<duplicate_odd>),
    STRATA_SSE_AVX(MOVDDUP, select_duplicate_low),
};

} // namespace

constinit const Rows shuffle_rows = rows;

} // namespace strata::cpu::interpreter::simd
