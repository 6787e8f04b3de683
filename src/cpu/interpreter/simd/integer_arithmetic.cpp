// Packed integer arithmetic: PADD, PSUB, PMUL, PMADD, PAVG, PMIN, PMAX, PABS, PSIGN and their kin.
// SDM volume 2B, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <cstdlib>

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

template <class T>
Block add(Block a, Block b) {
    return to_block(lanes<T>(a) + lanes<T>(b));
}

template <class T>
Block sub(Block a, Block b) {
    return to_block(lanes<T>(a) - lanes<T>(b));
}

template <class T>
Block add_saturated(Block a, Block b) {
    return map<T>([](int x, int y) { return saturate<T>(x + y); }, a, b);
}

template <class T>
Block sub_saturated(Block a, Block b) {
    return map<T>([](int x, int y) { return saturate<T>(x - y); }, a, b);
}

template <class T>
Block average(Block a, Block b) {
    return map<T>([](unsigned x, unsigned y) { return (x + y + 1) >> 1; }, a, b);
}

template <class T>
Block minimum(Block a, Block b) {
    return map<T>([](T x, T y) { return std::min(x, y); }, a, b);
}

template <class T>
Block maximum(Block a, Block b) {
    return map<T>([](T x, T y) { return std::max(x, y); }, a, b);
}

template <class T>
Block absolute(Block a) {
    const Block negative = sign_mask<T>(a);
    return sub<std::make_unsigned_t<T>>(a ^ negative, negative);
}

// PSIGN: b's sign applied to a; 0 where b is 0.
template <class T>
Block apply_sign(Block a, Block b) {
    const Block negative = sign_mask<T>(b);
    return sub<std::make_unsigned_t<T>>(a ^ negative, negative) & ~equal<T>(b, Block{});
}

template <class T>
Block multiply_low(Block a, Block b) {
    return to_block(lanes<T>(a) * lanes<T>(b));
}

// The upper half of 16-bit products.
template <class T>
Block multiply_high(Block a, Block b) {
    using Product = std::conditional_t<std::is_signed_v<T>, int, unsigned>;
    return map<T>([](Product x, Product y) { return (x * y) >> 16; }, a, b);
}

Block multiply_high_rounded(Block a, Block b) {
    return map<int16_t>([](int x, int y) { return (((x * y) >> 14) + 1) >> 1; }, a, b);
}

// 64-bit products of the even 32-bit lanes.
Block multiply_even_unsigned(Block a, Block b) { return (a & 0xFFFF'FFFF) * (b & 0xFFFF'FFFF); }

Block multiply_even_signed(Block a, Block b) {
    return map<uint64_t>(
        [](uint64_t x, uint64_t y) { return int64_t{static_cast<int32_t>(x)} * static_cast<int32_t>(y); }, a,
        b);
}

// PMADDWD: sums of adjacent products. Only 4 times (-32768)^2 reaches the sign bit, and wraps.
Block multiply_add_words(Block a, Block b) {
    return map<uint32_t>(
        [](uint32_t x, uint32_t y) {
            const int low = static_cast<int16_t>(x) * static_cast<int16_t>(y);
            const int high = static_cast<int16_t>(x >> 16) * static_cast<int16_t>(y >> 16);
            return static_cast<uint32_t>(low) + static_cast<uint32_t>(high);
        },
        a, b);
}

// PMADDUBSW: a unsigned, b signed, sums saturated.
Block multiply_add_bytes(Block a, Block b) {
    return map<uint16_t>(
        [](unsigned x, unsigned y) {
            const int low = static_cast<uint8_t>(x) * static_cast<int8_t>(y);
            const int high = static_cast<uint8_t>(x >> 8) * static_cast<int8_t>(y >> 8);
            return saturate<int16_t>(low + high);
        },
        a, b);
}

// PSADBW: the sum of absolute differences of each half.
Block sum_of_differences(Block a, Block b) {
    const auto x = lanes<uint8_t>(a), y = lanes<uint8_t>(b);
    Block result{};
    for (unsigned half = 0; half < 2; ++half) {
        int sum = 0;
        for (unsigned i = 0; i < 8; ++i) {
            sum += std::abs(x[half * 8 + i] - y[half * 8 + i]);
        }
        result[half] = static_cast<uint64_t>(sum);
    }
    return result;
}

// MPSADBW: eight sums of four absolute differences, b's quadruple against a's at eight offsets.
Block multiple_sums_of_differences(Block a, Block b, uint8_t control) {
    const auto x = lanes<uint8_t>(a), y = lanes<uint8_t>(b);
    const unsigned from_a = (control >> 2 & 1) * 4, from_b = (control & 3) * 4;
    Lanes<uint16_t> result{};
    for (unsigned i = 0; i < 8; ++i) {
        int sum = 0;
        for (unsigned j = 0; j < 4; ++j) {
            sum += std::abs(x[from_a + i + j] - y[from_b + j]);
        }
        result[i] = static_cast<uint16_t>(sum);
    }
    return to_block(result);
}

// PHADD, PHSUB: combines adjacent lanes, a's pairs below b's.
template <class T, class Combine>
Block horizontal(Combine combine, Block a, Block b) {
    constexpr unsigned half = lane_count<T> / 2;
    Lanes<T> result{};
    for (unsigned i = 0; i < half; ++i) {
        result[i] = static_cast<T>(combine(lanes<T>(a)[2 * i], lanes<T>(a)[2 * i + 1]));
        result[half + i] = static_cast<T>(combine(lanes<T>(b)[2 * i], lanes<T>(b)[2 * i + 1]));
    }
    return to_block(result);
}

template <class T>
Block horizontal_add(Block a, Block b) {
    return horizontal<T>([](T x, T y) { return x + y; }, a, b);
}

template <class T>
Block horizontal_sub(Block a, Block b) {
    return horizontal<T>([](T x, T y) { return x - y; }, a, b);
}

Block horizontal_add_saturated(Block a, Block b) {
    return horizontal<int16_t>([](int x, int y) { return saturate<int16_t>(x + y); }, a, b);
}

Block horizontal_sub_saturated(Block a, Block b) {
    return horizontal<int16_t>([](int x, int y) { return saturate<int16_t>(x - y); }, a, b);
}

// PHMINPOSUW: the smallest word and where it is.
Block horizontal_minimum(Block a) {
    const auto words = lanes<uint16_t>(a);
    unsigned position = 0;
    for (unsigned i = 1; i < 8; ++i) {
        if (words[i] < words[position]) {
            position = i;
        }
    }
    return Block{words[position] | uint64_t{position} << 16};
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PADDB, packed<add<uint8_t>>),
    STRATA_SSE_AVX(PADDW, packed<add<uint16_t>>),
    STRATA_SSE_AVX(PADDD, packed<add<uint32_t>>),
    STRATA_SSE_AVX(PADDQ, packed<add<uint64_t>>),
    STRATA_SSE_AVX(PSUBB, packed<sub<uint8_t>>),
    STRATA_SSE_AVX(PSUBW, packed<sub<uint16_t>>),
    STRATA_SSE_AVX(PSUBD, packed<sub<uint32_t>>),
    STRATA_SSE_AVX(PSUBQ, packed<sub<uint64_t>>),
    STRATA_SSE_AVX(PADDSB, packed<add_saturated<int8_t>>),
    STRATA_SSE_AVX(PADDSW, packed<add_saturated<int16_t>>),
    STRATA_SSE_AVX(PADDUSB, packed<add_saturated<uint8_t>>),
    STRATA_SSE_AVX(PADDUSW, packed<add_saturated<uint16_t>>),
    STRATA_SSE_AVX(PSUBSB, packed<sub_saturated<int8_t>>),
    STRATA_SSE_AVX(PSUBSW, packed<sub_saturated<int16_t>>),
    STRATA_SSE_AVX(PSUBUSB, packed<sub_saturated<uint8_t>>),
    STRATA_SSE_AVX(PSUBUSW, packed<sub_saturated<uint16_t>>),
    STRATA_SSE_AVX(PAVGB, packed<average<uint8_t>>),
    STRATA_SSE_AVX(PAVGW, packed<average<uint16_t>>),
    STRATA_SSE_AVX(PMINUB, packed<minimum<uint8_t>>),
    STRATA_SSE_AVX(PMINUW, packed<minimum<uint16_t>>),
    STRATA_SSE_AVX(PMINUD, packed<minimum<uint32_t>>),
    STRATA_SSE_AVX(PMINSB, packed<minimum<int8_t>>),
    STRATA_SSE_AVX(PMINSW, packed<minimum<int16_t>>),
    STRATA_SSE_AVX(PMINSD, packed<minimum<int32_t>>),
    STRATA_SSE_AVX(PMAXUB, packed<maximum<uint8_t>>),
    STRATA_SSE_AVX(PMAXUW, packed<maximum<uint16_t>>),
    STRATA_SSE_AVX(PMAXUD, packed<maximum<uint32_t>>),
    STRATA_SSE_AVX(PMAXSB, packed<maximum<int8_t>>),
    STRATA_SSE_AVX(PMAXSW, packed<maximum<int16_t>>),
    STRATA_SSE_AVX(PMAXSD, packed<maximum<int32_t>>),
    STRATA_SSE_AVX(PABSB, packed<absolute<int8_t>>),
    STRATA_SSE_AVX(PABSW, packed<absolute<int16_t>>),
    STRATA_SSE_AVX(PABSD, packed<absolute<int32_t>>),
    STRATA_SSE_AVX(PSIGNB, packed<apply_sign<int8_t>>),
    STRATA_SSE_AVX(PSIGNW, packed<apply_sign<int16_t>>),
    STRATA_SSE_AVX(PSIGND, packed<apply_sign<int32_t>>),
    STRATA_SSE_AVX(PMULLW, packed<multiply_low<uint16_t>>),
    STRATA_SSE_AVX(PMULLD, packed<multiply_low<uint32_t>>),
    STRATA_SSE_AVX(PMULHW, packed<multiply_high<int16_t>>),
    STRATA_SSE_AVX(PMULHUW, packed<multiply_high<uint16_t>>),
    STRATA_SSE_AVX(PMULHRSW, packed<multiply_high_rounded>),
    STRATA_SSE_AVX(PMULUDQ, packed<multiply_even_unsigned>),
    STRATA_SSE_AVX(PMULDQ, packed<multiply_even_signed>),
    STRATA_SSE_AVX(PMADDWD, packed<multiply_add_words>),
    STRATA_SSE_AVX(PMADDUBSW, packed<multiply_add_bytes>),
    STRATA_SSE_AVX(PSADBW, packed<sum_of_differences>),
    STRATA_SSE_AVX(MPSADBW, packed<multiple_sums_of_differences, 3>),
    STRATA_SSE_AVX(PHADDW, packed<horizontal_add<uint16_t>>),
    STRATA_SSE_AVX(PHADDD, packed<horizontal_add<uint32_t>>),
    STRATA_SSE_AVX(PHSUBW, packed<horizontal_sub<uint16_t>>),
    STRATA_SSE_AVX(PHSUBD, packed<horizontal_sub<uint32_t>>),
    STRATA_SSE_AVX(PHADDSW, packed<horizontal_add_saturated>),
    STRATA_SSE_AVX(PHSUBSW, packed<horizontal_sub_saturated>),
    STRATA_SSE_AVX(PHMINPOSUW, packed_128<horizontal_minimum>),
};

} // namespace

constinit const Rows integer_arithmetic_rows = rows;

} // namespace strata::cpu::interpreter::simd
