// Arithmetic on polynomials over GF(2): PCLMULQDQ and CRC32. SDM volume 2.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <array>

namespace strata::cpu::interpreter::simd {
namespace {

using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

__extension__ typedef unsigned __int128 Wide;

// The product without carries.
Wide multiply(uint64_t a, uint64_t b) {
    // Multiples of a by all polynomials of four terms.
    std::array<Wide, 16> multiples{};
    multiples[1] = a;
    for (unsigned i = 2; i < 16; ++i) {
        multiples[i] = multiples[i / 2] << 1 ^ (i % 2 != 0 ? a : 0);
    }
    Wide product = 0;
    for (int shift = 60; shift >= 0; shift -= 4) {
        product = product << 4 ^ multiples[b >> shift & 0xF];
    }
    return product;
}

// Bits 0 and 4 of the immediate choose the quadwords.
Block multiply_quadwords(Block a, Block b, uint8_t chosen) {
    return std::bit_cast<Block>(multiply(a[chosen & 1], b[chosen >> 4 & 1]));
}

// CRC-32C, bit-reflected: what a byte becomes after eight steps.
constexpr auto crc_table = [] {
    constexpr uint32_t polynomial = 0x82F6'3B78;
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int step = 0; step < 8; ++step) {
            value = value >> 1 ^ (value & 1 ? polynomial : 0);
        }
        table[i] = value;
    }
    return table;
}();

template <class T>
void crc32(Cpu& cpu, const Insn& insn) {
    auto data = uint64_t{cpu.load_rm<T>(insn)};
    uint32_t crc = cpu.reg<uint32_t>(insn.reg);
    for (unsigned i = 0; i < sizeof(T); ++i) {
        crc = crc >> 8 ^ crc_table[(crc ^ data) & 0xFF];
        data >>= 8;
    }
    cpu.set_reg<uint32_t>(insn.reg, crc);
}

Handler select_crc32(const Decoded& decoded, Insn&) {
    switch (decoded.operands[1].size) {
    case 8: return &crc32<uint8_t>;
    case 16: return &crc32<uint16_t>;
    case 32: return &crc32<uint32_t>;
    default: return &crc32<uint64_t>;
    }
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PCLMULQDQ, packed_128<multiply_quadwords>),
    STRATA_SSE(CRC32, select_crc32),
};

} // namespace

constinit const Rows polynomial_rows = rows;

} // namespace strata::cpu::interpreter::simd
