// Conversions between single and double precision and integers. SDM volume 2A, CVT*.
#include "cpu/interpreter/simd/fp_operands.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/x86/soft_float.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

namespace unit = x86::sse_unit;
namespace soft = x86::soft_float;

using Convert = Block (*)(Block);

// ---- lanes of one width to lanes of the same ----

template <Convert convert, std::size_t blocks>
void convert_packed(Cpu& cpu, const Insn& insn) {
    const auto b = source<blocks>(cpu, insn);
    const auto result = computed(cpu, [&] {
        Vector<blocks> converted;
        for (std::size_t i = 0; i < blocks; ++i) {
            converted[i] = convert(b[i]);
        }
        return converted;
    });
    write(cpu, insn, result);
}

template <Convert convert>
Handler same_width(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &convert_packed<convert, 1>, &convert_packed<convert, 2>);
}

// ---- 32-bit lanes to 64-bit lanes: from 64 bits of memory to a block, from 128 to two ----

template <Convert convert>
void widen_one(Cpu& cpu, const Insn& insn) {
    const Block b = low_source<std::uint64_t>(cpu, insn);
    // The lanes that do not count must raise nothing.
    write(cpu, insn, computed(cpu, [&] { return convert(low_lane(b[0])); }));
}

template <Convert convert>
void widen_two(Cpu& cpu, const Insn& insn) {
    const Block b = source<1>(cpu, insn)[0];
    write(cpu, insn,
          computed(cpu, [&] { return Vector<2>{convert(low_lane(b[0])), convert(low_lane(b[1]))}; }));
}

template <Convert convert>
Handler widen(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &widen_one<convert>, &widen_two<convert>);
}

// ---- 64-bit lanes to 32-bit lanes; what is above the result is zero ----

struct NoFlags {
    static std::uint32_t flags(Block, std::uint32_t) {
        return x86::sse_environment::raised() & x86::mxcsr::precision; // integers do not overflow into flags
    }
};

struct NarrowFlags {
    static std::uint32_t flags(Block b, std::uint32_t mxcsr) {
        return soft::narrow_flags(b[0], mxcsr) | soft::narrow_flags(b[1], mxcsr);
    }
};

template <Convert convert, class Flags>
void narrow_one(Cpu& cpu, const Insn& insn) {
    const Block b = source<1>(cpu, insn)[0];
    write(cpu, insn,
          computed(cpu, [&] { return convert(b); }, [&](auto mxcsr) { return Flags::flags(b, mxcsr); }));
}

template <Convert convert, class Flags>
void narrow_two(Cpu& cpu, const Insn& insn) {
    const auto b = source<2>(cpu, insn);
    const auto compute = [&] { return Block{convert(b[0])[0], convert(b[1])[0]}; };
    write(cpu, insn, computed(cpu, compute, [&](auto mxcsr) {
              return Flags::flags(b[0], mxcsr) | Flags::flags(b[1], mxcsr);
          }));
}

template <Convert convert, class Flags>
Handler narrow(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &narrow_one<convert, Flags>, &narrow_two<convert, Flags>);
}

// ---- scalars: the other lanes are the first source's ----

void single_to_double(Cpu& cpu, const Insn& insn) {
    const Block b = low_source<std::uint32_t>(cpu, insn), a = read_block(cpu, insn.vvvv);
    write(cpu, insn, computed(cpu, [&] { return unit::cvtss2sd(a, b); }));
}

void double_to_single(Cpu& cpu, const Insn& insn) {
    const Block b = low_source<std::uint64_t>(cpu, insn), a = read_block(cpu, insn.vvvv);
    write(cpu, insn,
          computed(
              cpu, [&] { return unit::cvtsd2ss(a, b); },
              [&](auto mxcsr) { return soft::narrow_flags(b[0], mxcsr); }));
}

template <Handler handler>
Handler scalar(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, handler, handler);
}

template <FpFormat format, class Integer>
void from_integer(Cpu& cpu, const Insn& insn) {
    const auto value = static_cast<Integer>(cpu.load_rm<std::make_unsigned_t<Integer>>(insn));
    const Block a = read_block(cpu, insn.vvvv);
    write(cpu, insn, computed(cpu, [&] { return unit::from_integer<format, Integer>(a, value); }));
}

template <FpFormat format>
Handler select_from_integer(const Decoded& decoded, Insn& insn) {
    const bool wide = decoded.operands[insn.vex ? 2 : 1].size == 64;
    return wide ? scalar<&from_integer<format, std::int64_t>>(decoded, insn)
                : scalar<&from_integer<format, std::int32_t>>(decoded, insn);
}

template <FpFormat format, class Integer, bool truncated>
void to_integer(Cpu& cpu, const Insn& insn) {
    const Block b = low_source<FpBits<format>>(cpu, insn);
    const Integer value = computed(cpu, [&] {
        return truncated ? unit::truncate<format, Integer>(b) : unit::to_integer<format, Integer>(b);
    });
    cpu.set_reg(insn.reg, static_cast<std::make_unsigned_t<Integer>>(value));
}

template <FpFormat format, bool truncated>
Handler select_to_integer(const Decoded& decoded, Insn& insn) {
    return decoded.operands[0].size == 64
               ? scalar<&to_integer<format, std::int64_t, truncated>>(decoded, insn)
               : scalar<&to_integer<format, std::int32_t, truncated>>(decoded, insn);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(CVTDQ2PS, same_width<unit::cvtdq2ps>),
    STRATA_SSE_AVX(CVTPS2DQ, same_width<unit::cvtps2dq>),
    STRATA_SSE_AVX(CVTTPS2DQ, same_width<unit::cvttps2dq>),
    STRATA_SSE_AVX(CVTDQ2PD, widen<unit::cvtdq2pd>),
    STRATA_SSE_AVX(CVTPS2PD, widen<unit::cvtps2pd>),
    STRATA_SSE_AVX(CVTPD2DQ, narrow<unit::cvtpd2dq, NoFlags>),
    STRATA_SSE_AVX(CVTTPD2DQ, narrow<unit::cvttpd2dq, NoFlags>),
    STRATA_SSE_AVX(CVTPD2PS, narrow<unit::cvtpd2ps, NarrowFlags>),
    STRATA_SSE_AVX(CVTSS2SD, scalar<single_to_double>),
    STRATA_SSE_AVX(CVTSD2SS, scalar<double_to_single>),
    STRATA_SSE_AVX(CVTSI2SS, select_from_integer<FpFormat::ss>),
    STRATA_SSE_AVX(CVTSI2SD, select_from_integer<FpFormat::sd>),
    STRATA_SSE_AVX(CVTSS2SI, select_to_integer<FpFormat::ss, false>),
    STRATA_SSE_AVX(CVTSD2SI, select_to_integer<FpFormat::sd, false>),
    STRATA_SSE_AVX(CVTTSS2SI, select_to_integer<FpFormat::ss, true>),
    STRATA_SSE_AVX(CVTTSD2SI, select_to_integer<FpFormat::sd, true>),
};

} // namespace

constinit const Rows fp_convert_rows = rows;

} // namespace strata::cpu::interpreter::simd
