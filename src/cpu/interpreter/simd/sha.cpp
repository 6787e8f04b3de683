// SHA-1 and SHA-256: rounds and message schedules. FIPS 180-4; SDM volume 2B, SHA1RNDS4 and following. Lane 3
// of a register holds what the standards number first.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <bit>

namespace strata::cpu::interpreter::simd {
namespace {

using std::rotl, std::rotr;
using std::uint32_t, std::uint8_t;
using Words = Lanes<uint32_t>;

uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return (x & y) ^ (~x & z); }

uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) ^ (x & z) ^ (y & z); }

uint32_t parity(uint32_t x, uint32_t y, uint32_t z) { return x ^ y ^ z; }

// ---- SHA-1 ----

// Four rounds of the stage that the immediate tells: a holds A, B, C, D; b the words, E added to the first.
Block sha1_rounds(Block first, Block second, uint8_t stage) {
    constexpr uint32_t constants[] = {0x5A82'7999, 0x6ED9'EBA1, 0x8F1B'BCDC, 0xCA62'C1D6};
    const auto function = [&](uint32_t x, uint32_t y, uint32_t z) {
        switch (stage & 3) {
        case 0: return choose(x, y, z);
        case 2: return majority(x, y, z);
        default: return parity(x, y, z);
        }
    };
    const Words words = lanes<uint32_t>(second);
    uint32_t a = lanes<uint32_t>(first)[3], b = lanes<uint32_t>(first)[2], c = lanes<uint32_t>(first)[1],
             d = lanes<uint32_t>(first)[0], e = 0;
    for (int i = 3; i >= 0; --i) {
        const uint32_t next = function(b, c, d) + rotl(a, 5) + words[i] + e + constants[stage & 3];
        e = d;
        d = c;
        c = rotl(b, 30);
        b = a;
        a = next;
    }
    return to_block(Words{d, c, b, a});
}

Block sha1_next_e(Block a, Block b) {
    Words result = lanes<uint32_t>(b);
    result[3] += rotl(lanes<uint32_t>(a)[3], 30);
    return to_block(result);
}

Block sha1_message_1(Block a, Block b) {
    return a ^ Block { b[1], a[0] };
}

Block sha1_message_2(Block a, Block b) {
    const Words x = lanes<uint32_t>(a), y = lanes<uint32_t>(b);
    const uint32_t w16 = rotl(x[3] ^ y[2], 1), w17 = rotl(x[2] ^ y[1], 1), w18 = rotl(x[1] ^ y[0], 1);
    return to_block(Words{rotl(x[0] ^ w16, 1), w18, w17, w16});
}

// ---- SHA-256 ----

uint32_t small_sigma_0(uint32_t x) { return rotr(x, 7) ^ rotr(x, 18) ^ (x >> 3); }

uint32_t small_sigma_1(uint32_t x) { return rotr(x, 17) ^ rotr(x, 19) ^ (x >> 10); }

uint32_t big_sigma_0(uint32_t x) { return rotr(x, 2) ^ rotr(x, 13) ^ rotr(x, 22); }

uint32_t big_sigma_1(uint32_t x) { return rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25); }

// Two rounds: the destination holds C, D, G, H, the source A, B, E, F, and XMM0 the words with constants
// added.
void sha256_rounds(Cpu& cpu, const Insn& insn) {
    const Words abef = lanes<uint32_t>(source<1>(cpu, insn)[0]);
    const Words cdgh = lanes<uint32_t>(read_block(cpu, insn.reg));
    const Words words = lanes<uint32_t>(read_block(cpu, 0));
    uint32_t a = abef[3], b = abef[2], e = abef[1], f = abef[0];
    uint32_t c = cdgh[3], d = cdgh[2], g = cdgh[1], h = cdgh[0];
    for (int i = 0; i < 2; ++i) {
        const uint32_t t1 = h + big_sigma_1(e) + choose(e, f, g) + words[i];
        const uint32_t t2 = big_sigma_0(a) + majority(a, b, c);
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    write(cpu, insn, to_block(Words{f, e, b, a}));
}

Block sha256_message_1(Block a, Block b) {
    const Words x = lanes<uint32_t>(a);
    const uint32_t following[] = {x[1], x[2], x[3], lanes<uint32_t>(b)[0]};
    Words result = x;
    for (int i = 0; i < 4; ++i) {
        result[i] += small_sigma_0(following[i]);
    }
    return to_block(result);
}

Block sha256_message_2(Block a, Block b) {
    const Words y = lanes<uint32_t>(b);
    Words result = lanes<uint32_t>(a);
    result[0] += small_sigma_1(y[2]);
    result[1] += small_sigma_1(y[3]);
    result[2] += small_sigma_1(result[0]);
    result[3] += small_sigma_1(result[1]);
    return to_block(result);
}

constexpr Row rows[] = {
    STRATA_SSE(SHA1RNDS4, packed_128<sha1_rounds>),
    STRATA_SSE(SHA1NEXTE, packed_128<sha1_next_e>),
    STRATA_SSE(SHA1MSG1, packed_128<sha1_message_1>),
    STRATA_SSE(SHA1MSG2, packed_128<sha1_message_2>),
    STRATA_SSE(SHA256RNDS2, fixed_128<&sha256_rounds>),
    STRATA_SSE(SHA256MSG1, packed_128<sha256_message_1>),
    STRATA_SSE(SHA256MSG2, packed_128<sha256_message_2>),
};

} // namespace

constinit const Rows sha_rows = rows;

} // namespace strata::cpu::interpreter::simd
