#include "values.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <cstring>

namespace strata::oracle {

namespace {

std::uint64_t low_bits(Random& random, unsigned count) {
    return count == 0 ? 0 : random.next() >> (64 - count);
}

// A binary floating-point number by its fields: special ones often, else any exponent or one near the middle.
std::uint64_t float_value(Random& random, unsigned exponent_bits, unsigned fraction_bits) {
    const std::uint64_t top = bit(exponent_bits) - 1, bias = top / 2;
    const std::uint64_t sign = random.below(2) << (exponent_bits + fraction_bits);
    const std::uint64_t fraction =
        random.chance(50)   ? low_bits(random, fraction_bits)
        : random.chance(50) ? bit(static_cast<unsigned>(random.below(fraction_bits)))
                            : bit(fraction_bits) - bit(static_cast<unsigned>(random.below(fraction_bits)));
    const auto make = [&](std::uint64_t exponent, std::uint64_t f) {
        return sign | exponent << fraction_bits | f;
    };
    switch (random.below(16)) {
    case 0: return make(0, 0);
    case 1: return make(top, 0);                                                    // infinity
    case 2: return make(top, fraction | bit(fraction_bits - 1));                    // quiet NaN
    case 3: return make(top, (fraction & (bit(fraction_bits - 1) - 1)) | 1);        // signalling NaN
    case 4: return make(0, fraction | 1);                                           // denormal
    case 5: return make(1, fraction);                                               // least normal
    case 6: return make(top - 1, fraction);                                         // greatest
    case 7: return make(bias, 0);                                                   // one
    case 8: return make(bias + random.below(std::min<std::uint64_t>(bias, 70)), 0); // a power of two
    case 9:
    case 10:
    case 11: return make(bias - 4 + random.below(8), fraction); // near one
    case 12:
    case 13:
        return make(bias - 1 + random.below(std::min<std::uint64_t>(bias, 66)), fraction); // near integers
    default: return make(low_bits(random, exponent_bits), fraction);
    }
}

} // namespace

std::uint64_t integer_value(Random& random) {
    const auto signed_power = [&] {
        const std::uint64_t power = bit(static_cast<unsigned>(random.below(64)));
        return random.chance(50) ? power : ~power + 1;
    };
    switch (random.below(12)) {
    case 0: return 0;
    case 1: return ~std::uint64_t{0};
    case 2: return random.below(256);
    case 3: return ~random.below(256);
    case 4: return signed_power();
    case 5: return signed_power() - 1;
    case 6: return 0x0101'0101'0101'0101 * random.below(256);
    case 7: return 0x8000'0000'8000'8080 ^ low_bits(random, 32);
    case 8: return low_bits(random, static_cast<unsigned>(random.below(65)));
    default: return random.next();
    }
}

std::uint32_t float16_pair(Random& random) {
    return static_cast<std::uint32_t>(float_value(random, 5, 10) | float_value(random, 5, 10) << 16);
}

std::uint32_t float32_value(Random& random) { return static_cast<std::uint32_t>(float_value(random, 8, 23)); }

std::uint64_t float64_value(Random& random) { return float_value(random, 11, 52); }

cpu::x86::Float80 float80_value(Random& random) {
    const auto sign = static_cast<std::uint16_t>(random.below(2) << 15);
    constexpr std::uint64_t integer_bit = bit(63);
    const std::uint64_t fraction =
        random.chance(60) ? random.next() & ~integer_bit : integer_value(random) & ~integer_bit;
    const auto make = [&](std::uint64_t exponent, std::uint64_t significand) {
        return cpu::x86::Float80{significand, static_cast<std::uint16_t>(sign | exponent)};
    };
    constexpr std::uint64_t bias = 0x3FFF, top = 0x7FFF;
    switch (random.below(20)) {
    case 0: return make(0, 0);
    case 1: return make(top, integer_bit);                                      // infinity
    case 2: return make(top, integer_bit | bit(62) | fraction);                 // quiet NaN
    case 3: return make(top, integer_bit | (fraction & ~bit(62)) | 1);          // signalling NaN
    case 4: return make(0, fraction | 1);                                       // denormal
    case 5: return make(0, integer_bit | fraction);                             // pseudo-denormal
    case 6: return make(top, fraction);                                         // pseudo-infinity, pseudo-NaN
    case 7: return make(random.below(top), fraction);                           // unnormal
    case 8: return make(bias, integer_bit);                                     // one
    case 9: return make(1 + random.below(4), integer_bit | fraction);           // least normal
    case 10: return make(top - 1 - random.below(4), integer_bit | fraction);    // greatest
    case 11: return make(bias + random.below(66), integer_bit);                 // a power of two
    case 12: return make(bias + random.below(64), integer_bit | fraction);      // near integers
    case 13: return make(bias - 64 + random.below(64), integer_bit | fraction); // small
    case 14: return make(random.below(top), integer_bit | fraction);            // any
    default: return make(bias - 4 + random.below(8), integer_bit | fraction);   // near one
    }
}

void fill_lanes(Random& random, Lane lane, std::span<std::uint8_t> to) {
    std::size_t at = 0;
    const auto put = [&](const void* from, std::size_t size) {
        size = std::min(size, to.size() - at);
        std::memcpy(to.data() + at, from, size);
        at += size;
    };
    const auto put_value = [&](auto value) { put(&value, sizeof value); };
    while (at < to.size()) {
        switch (lane) {
        case Lane::integer: put_value(integer_value(random)); break;
        case Lane::float16: put_value(float16_pair(random)); break;
        case Lane::float32: put_value(float32_value(random)); break;
        case Lane::float64: put_value(float64_value(random)); break;
        case Lane::float80: {
            const auto value = float80_value(random);
            put_value(value.significand);
            if (at < to.size()) {
                put_value(value.sign_exponent);
            }
            break;
        }
        case Lane::bytes: put_value(random.next()); break;
        }
    }
}

} // namespace strata::oracle
