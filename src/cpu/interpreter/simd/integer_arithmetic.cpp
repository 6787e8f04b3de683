// Packed integer arithmetic: PADD, PSUB, PMUL, PMADD, PAVG, PMIN, PMAX, PABS, PSIGN and their kin.
// SDM volume 2B, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/integer_operations.hpp"
#include "cpu/interpreter/simd/select.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

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
