// AES-NI: single rounds of the Advanced Encryption Standard. FIPS 197; SDM volume 1 section 12.13.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <array>
#include <bit>

namespace strata::cpu::interpreter::simd {
namespace {

using std::uint32_t, std::uint8_t;

// Products in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
constexpr uint8_t multiply(unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b != 0; b >>= 1) {
        product ^= b & 1 ? a : 0;
        a = (a << 1) ^ (a & 0x80 ? 0x11B : 0);
    }
    return static_cast<uint8_t>(product);
}

using Substitution = std::array<uint8_t, 256>;

// The S-box: the inverse in the field, then an affine transformation. FIPS 197 section 5.1.1.
constexpr Substitution make_forward() {
    Substitution box{};
    // p runs through all elements but 0 as powers of 3, q through their inverses as powers of its inverse,
    // 0xF6.
    uint8_t p = 1, q = 1;
    do {
        p = multiply(p, 3);
        q = multiply(q, 0xF6);
        box[p] = static_cast<uint8_t>(q ^ std::rotl(q, 1) ^ std::rotl(q, 2) ^ std::rotl(q, 3) ^
                                      std::rotl(q, 4) ^ 0x63);
    } while (p != 1);
    box[0] = 0x63;
    return box;
}

constexpr Substitution forward = make_forward();

constexpr Substitution inverse = [] {
    Substitution box{};
    for (unsigned i = 0; i < 256; ++i) {
        box[forward[i]] = static_cast<uint8_t>(i);
    }
    return box;
}();

using Columns = std::array<uint32_t, 256>;

// What the byte i in row 0 of a column becomes in MixColumns with the given coefficients, after the
// substitution.
constexpr Columns make_columns(const Substitution& box, std::array<unsigned, 4> coefficients) {
    Columns table{};
    for (unsigned i = 0; i < 256; ++i) {
        for (unsigned row = 0; row < 4; ++row) {
            table[i] |= uint32_t{multiply(box[i], coefficients[row])} << 8 * row;
        }
    }
    return table;
}

constexpr std::array<unsigned, 4> mix{2, 1, 1, 3}, unmix{14, 9, 13, 11};

constexpr Substitution identity = [] {
    Substitution box{};
    for (unsigned i = 0; i < 256; ++i) {
        box[i] = static_cast<uint8_t>(i);
    }
    return box;
}();

constexpr Columns mixed_forward = make_columns(forward, mix);
constexpr Columns unmixed_inverse = make_columns(inverse, unmix);
constexpr Columns unmixed = make_columns(identity, unmix);

// ShiftRows: the byte of row r in column c comes from column c + r, in the inverse cipher from c - r.
enum class Shift : unsigned { none = 0, encrypt = 1, decrypt = 3 };

template <Shift shift>
constexpr unsigned shifted_from(unsigned column, unsigned row) {
    return 4 * ((column + row * static_cast<unsigned>(shift)) % 4) + row;
}

// A substitution and MixColumns in one table.
template <const Columns& table, Shift shift>
Block transform_columns(Block state) {
    const auto bytes = std::bit_cast<std::array<uint8_t, 16>>(state);
    Lanes<uint32_t> result{};
    for (unsigned column = 0; column < 4; ++column) {
        uint32_t value = 0;
        for (unsigned row = 0; row < 4; ++row) {
            value ^= std::rotl(table[bytes[shifted_from<shift>(column, row)]], static_cast<int>(8 * row));
        }
        result[column] = value;
    }
    return to_block(result);
}

// The last round has no MixColumns.
template <const Substitution& box, Shift shift>
Block substitute(Block state) {
    const auto bytes = std::bit_cast<std::array<uint8_t, 16>>(state);
    std::array<uint8_t, 16> result{};
    for (unsigned i = 0; i < 16; ++i) {
        result[i] = box[bytes[shifted_from<shift>(i / 4, i % 4)]];
    }
    return std::bit_cast<Block>(result);
}

Block encrypt(Block state, Block key) {
    return transform_columns<mixed_forward, Shift::encrypt>(state) ^ key;
}

Block encrypt_last(Block state, Block key) { return substitute<forward, Shift::encrypt>(state) ^ key; }

Block decrypt(Block state, Block key) {
    return transform_columns<unmixed_inverse, Shift::decrypt>(state) ^ key;
}

Block decrypt_last(Block state, Block key) { return substitute<inverse, Shift::decrypt>(state) ^ key; }

Block inverse_mix_columns(Block b) { return transform_columns<unmixed, Shift::none>(b); }

uint32_t substitute_word(uint32_t word) {
    uint32_t result = 0;
    for (unsigned i = 0; i < 4; ++i) {
        result |= uint32_t{forward[word >> 8 * i & 0xFF]} << 8 * i;
    }
    return result;
}

Block assist_key_generation(Block b, uint8_t round_constant) {
    const uint32_t x1 = substitute_word(lanes<uint32_t>(b)[1]), x3 = substitute_word(lanes<uint32_t>(b)[3]);
    return to_block(
        Lanes<uint32_t>{x1, std::rotr(x1, 8) ^ round_constant, x3, std::rotr(x3, 8) ^ round_constant});
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(AESENC, packed_128<encrypt>),
    STRATA_SSE_AVX(AESENCLAST, packed_128<encrypt_last>),
    STRATA_SSE_AVX(AESDEC, packed_128<decrypt>),
    STRATA_SSE_AVX(AESDECLAST, packed_128<decrypt_last>),
    STRATA_SSE_AVX(AESIMC, packed_128<inverse_mix_columns>),
    STRATA_SSE_AVX(AESKEYGENASSIST, packed_128<assist_key_generation>),
};

} // namespace

constinit const Rows aes_rows = rows;

} // namespace strata::cpu::interpreter::simd
