// Floating-point operands that reach the interesting cases, and the host's own instructions to compare with.
#pragma once

#include "cpu/x86/fp_unit_sse.hpp"
#include "cpu/x86/soft_float_number.hpp"

#include <cstdint>
#include <random>

namespace strata::cpu::x86::test {

class FpOperands {
public:
    explicit FpOperands(std::uint64_t seed) : random_(seed) {}

    [[nodiscard]] std::uint64_t bits() { return random_(); }

    // Any number: special values and values near the bounds of exponents are common, and so are short
    // significands.
    template <class Bits>
    [[nodiscard]] Bits next() {
        using F = soft_float::Format<Bits>;
        const auto sign = static_cast<Bits>(bits() & 1 ? soft_float::sign_bit<Bits> : 0);
        const unsigned max_field = static_cast<unsigned>(2 * F::max_exponent + 1);
        switch (bits() % 8) {
        case 0: return static_cast<Bits>(sign | soft_float::infinity<Bits>);
        case 1: return static_cast<Bits>(sign | make<Bits>(max_field)); // NaN, mostly
        case 2: return static_cast<Bits>(sign | make<Bits>(0));         // denormal or zero
        case 3: return static_cast<Bits>(sign | make<Bits>(1 + bits() % 30));
        case 4: return static_cast<Bits>(sign | make<Bits>(max_field - 1 - bits() % 30));
        default: return static_cast<Bits>(sign | make<Bits>(bits() % (max_field + 1)));
        }
    }

    // A number that interacts with x: of like magnitude, or of an opposite exponent.
    template <class Bits>
    [[nodiscard]] Bits near(Bits x) {
        using F = soft_float::Format<Bits>;
        const int field = static_cast<int>(soft_float::magnitude(x) >> (F::precision - 1));
        const int spread = static_cast<int>(bits() % (2 * F::precision + 6)) - F::precision - 3;
        switch (bits() % 4) {
        case 0: return next<Bits>();
        case 1: return with_field<Bits>(field + spread);
        case 2:
            return with_field<Bits>(F::max_exponent - field + spread); // the product nears the lower bound
        default: return with_field<Bits>(3 * F::max_exponent - field + spread); // or the upper
        }
    }

    // A number near -x * y.
    template <class Bits>
    [[nodiscard]] Bits near_product(Bits x, Bits y) {
        using F = soft_float::Format<Bits>;
        const int field = static_cast<int>(soft_float::magnitude(x) >> (F::precision - 1)) +
                          static_cast<int>(soft_float::magnitude(y) >> (F::precision - 1)) - F::max_exponent;
        const int spread = static_cast<int>(bits() % (4 * F::precision)) - 2 * F::precision;
        return bits() % 3 == 0 ? next<Bits>() : with_field<Bits>(field + (bits() % 2 ? spread : spread % 3));
    }

    // A number whose fraction has few bits.
    template <class Bits>
    [[nodiscard]] Bits near_integer() {
        using F = soft_float::Format<Bits>;
        const int exponent = static_cast<int>(bits() % (F::precision + 6)) - 4;
        return bits() % 4 == 0 ? next<Bits>() : with_field<Bits>(F::max_exponent + exponent);
    }

    // A double near what single precision can express.
    [[nodiscard]] std::uint64_t near_single() {
        const int exponent = static_cast<int>(bits() % 320) - 160;
        return bits() % 4 == 0 ? next<std::uint64_t>() : with_field<std::uint64_t>(1023 + exponent);
    }

    // A single near what half precision can express.
    [[nodiscard]] std::uint32_t near_half() {
        const int exponent = static_cast<int>(bits() % 44) - 27;
        return bits() % 4 == 0 ? next<std::uint32_t>() : with_field<std::uint32_t>(127 + exponent);
    }

private:
    // An encoding with the exponent field given and a random fraction: any, short, or all ones but its end.
    template <class Bits>
    [[nodiscard]] Bits make(std::uint64_t field) {
        using F = soft_float::Format<Bits>;
        std::uint64_t fraction = bits();
        switch (bits() % 4) {
        case 0: fraction &= fraction << (bits() % F::precision); break;
        case 1: fraction = std::uint64_t{1} << (bits() % F::precision); break;
        case 2: fraction = ~std::uint64_t{0} << (bits() % F::precision); break;
        default: break;
        }
        const auto mask = static_cast<std::uint64_t>(soft_float::implicit_bit<Bits> - 1);
        return static_cast<Bits>(field << (F::precision - 1) | (fraction & mask));
    }

    template <class Bits>
    [[nodiscard]] Bits with_field(int field) {
        const int top = 2 * soft_float::Format<Bits>::max_exponent + 1;
        const auto sign = static_cast<Bits>(bits() & 1 ? soft_float::sign_bit<Bits> : 0);
        return static_cast<Bits>(sign | make<Bits>(static_cast<std::uint64_t>(field < 0     ? 0
                                                                              : field > top ? top
                                                                                            : field)));
    }

    std::mt19937_64 random_;
};

// x * y + z by the host's FMA.
inline Block host_fused(Block x, Block y, Block z, soft_float::FusedSigns signs, std::size_t size) {
#define STRATA_FUSED(name)                                                                                   \
    if (size == 4) {                                                                                         \
        asm volatile(#name "213ss %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                   \
    } else {                                                                                                 \
        asm volatile(#name "213sd %2, %1, %0" : "+x"(y) : "x"(x), "x"(z));                                   \
    }
    // 213: the second operand comes first among NaNs.
    if (signs.negate_product) {
        if (signs.negate_addend) {
            STRATA_FUSED(vfnmsub)
        } else {
            STRATA_FUSED(vfnmadd)
        }
    } else if (signs.negate_addend) {
        STRATA_FUSED(vfmsub)
    } else {
        STRATA_FUSED(vfmadd)
    }
#undef STRATA_FUSED
    return y;
}

inline Block host_round_to_integer(Block x, std::size_t size) {
    if (size == 4) {
        asm volatile("roundss $4, %0, %0" : "+x"(x));
    } else {
        asm volatile("roundsd $4, %0, %0" : "+x"(x));
    }
    return x;
}

inline Block host_half_to_single(Block x) {
    asm volatile("vcvtph2ps %0, %0" : "+x"(x));
    return x;
}

inline Block host_single_to_half(Block x) {
    asm volatile("vcvtps2ph $4, %0, %0" : "+x"(x));
    return x;
}

} // namespace strata::cpu::x86::test
