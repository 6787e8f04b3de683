// The arithmetic flags, kept as what they are derived from, so that an instruction whose flags nobody reads
// pays two stores.
#pragma once

#include "cpu/x86/registers.hpp"

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace strata::cpu::interpreter {

template <class T>
inline constexpr unsigned width_of = sizeof(T) * 8;

// result: the last result, sign-extended to 64 bits: ZF is result == 0, SF its sign, PF the parity of its low
// byte. carries: CF at bit 63, the carry into the sign bit at bit 62 (OF = CF xor it), AF at bit 3, and
// corrections that let every combination of flags be expressed: bit 0 flips SF, bits 15:8 are xored into the
// byte that PF is of.
class Flags {
public:
    [[nodiscard]] bool cf() const { return carries_ >> 63; }

    [[nodiscard]] bool of() const { return ((carries_ >> 63) ^ (carries_ >> 62)) & 1; }

    [[nodiscard]] bool af() const { return (carries_ >> 3) & 1; }

    [[nodiscard]] bool zf() const { return result_ == 0; }

    [[nodiscard]] bool sf() const { return ((result_ >> 63) ^ carries_) & 1; }

    [[nodiscard]] bool pf() const {
        return (std::popcount(static_cast<unsigned>((result_ ^ (carries_ >> 8)) & 0xFF)) & 1) == 0;
    }

    // The flags of r = a + b (+ carry), of width T.
    template <std::unsigned_integral T>
    void set_add(T a, T b, T r) {
        set(r, static_cast<T>((a & b) | ((a | b) & static_cast<T>(~r))));
    }

    // The flags of r = a - b (- borrow).
    template <std::unsigned_integral T>
    void set_sub(T a, T b, T r) {
        const auto na = static_cast<T>(~a);
        set(r, static_cast<T>((na & b) | ((na | b) & r)));
    }

    // AND, OR, XOR, TEST: CF = OF = 0; AF (undefined) is 0.
    template <std::unsigned_integral T>
    void set_logic(T r) {
        result_ = extend(r);
        carries_ = 0;
    }

    // As set_add / set_sub, but CF stays (INC, DEC).
    template <std::unsigned_integral T>
    void set_add_keep_cf(T a, T b, T r) {
        const bool carry = cf();
        set_add(a, b, r);
        set_cf(carry);
    }

    template <std::unsigned_integral T>
    void set_sub_keep_cf(T a, T b, T r) {
        const bool carry = cf();
        set_sub(a, b, r);
        set_cf(carry);
    }

    // Result flags from r, with CF and OF as given; AF is 0.
    template <std::unsigned_integral T>
    void set_result(T r, bool carry, bool overflow) {
        result_ = extend(r);
        carries_ = (std::uint64_t{carry} << 63) | (std::uint64_t{carry != overflow} << 62);
    }

    // Changes CF alone, OF alone.
    void set_cf(bool carry) {
        const std::uint64_t flip = (carries_ >> 63) ^ std::uint64_t{carry};
        carries_ ^= (flip << 63) | (flip << 62); // the carry into the sign follows, so that OF stays
    }

    void set_of(bool overflow) {
        const std::uint64_t flip = ((carries_ >> 63) ^ (carries_ >> 62) ^ std::uint64_t{overflow}) & 1;
        carries_ ^= flip << 62;
    }

    void set_af(bool adjust) { carries_ = (carries_ & ~std::uint64_t{8}) | (adjust ? 8U : 0U); }

    // ZF alone; SF and PF stay.
    void set_zf(bool zero) { set_arithmetic((arithmetic() & ~x86::flag::zf) | (zero ? x86::flag::zf : 0)); }

    // The six arithmetic flags in their places in RFLAGS.
    [[nodiscard]] std::uint64_t arithmetic() const {
        return (cf() ? x86::flag::cf : 0) | (pf() ? x86::flag::pf : 0) | (af() ? x86::flag::af : 0) |
               (zf() ? x86::flag::zf : 0) | (sf() ? x86::flag::sf : 0) | (of() ? x86::flag::of : 0);
    }

    void set_arithmetic(std::uint64_t rflags) {
        const bool carry = rflags & x86::flag::cf, overflow = rflags & x86::flag::of;
        const bool zero = rflags & x86::flag::zf, sign = rflags & x86::flag::sf,
                   parity = rflags & x86::flag::pf;
        result_ = zero ? 0 : 0x100; // low byte 0: even parity; sign 0
        carries_ = (std::uint64_t{carry} << 63) | (std::uint64_t{carry != overflow} << 62) |
                   (rflags & x86::flag::af ? 8U : 0U) | (parity ? 0U : 0x100U) | (sign ? 1U : 0U);
    }

    // A condition code as in the low four bits of Jcc, SETcc, CMOVcc.
    [[nodiscard]] bool condition(unsigned code) const {
        bool value = false;
        switch (code >> 1) {
        case 0: value = of(); break;
        case 1: value = cf(); break;
        case 2: value = zf(); break;
        case 3: value = cf() || zf(); break;
        case 4: value = sf(); break;
        case 5: value = pf(); break;
        case 6: value = sf() != of(); break;
        default: value = zf() || sf() != of(); break;
        }
        return value != ((code & 1) != 0);
    }

private:
    template <std::unsigned_integral T>
    static std::uint64_t extend(T r) {
        return static_cast<std::uint64_t>(std::int64_t{static_cast<std::make_signed_t<T>>(r)});
    }

    template <std::unsigned_integral T>
    void set(T r, T carry_out) {
        result_ = extend(r);
        // Bit n-1 of carry_out is CF, bit n-2 the carry into the sign bit.
        constexpr unsigned shift = 64 - width_of<T>;
        carries_ = ((std::uint64_t{carry_out} << shift) & (std::uint64_t{3} << 62)) | (carry_out & 8U);
    }

    std::uint64_t result_ = 1;
    std::uint64_t carries_ = 0;
};

} // namespace strata::cpu::interpreter
