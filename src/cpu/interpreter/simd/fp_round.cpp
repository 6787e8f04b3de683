// ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD; and half precision: VCVTPH2PS, VCVTPS2PH. SDM volume 2.
#include "cpu/interpreter/simd/fp_operands.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/x86/soft_float.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

namespace mxcsr = x86::mxcsr;
namespace soft = x86::soft_float;

// The rounding mode of an immediate: its own, or MXCSR's.
mxcsr::Rounding rounding_mode(std::uint8_t immediate, std::uint32_t mxcsr) {
    constexpr std::uint8_t use_mxcsr = 4;
    return immediate & use_mxcsr ? mxcsr::rounding_of(mxcsr) : static_cast<mxcsr::Rounding>(immediate & 3);
}

template <FpFormat format>
Block round_block(Block a, Block b, std::uint8_t immediate, std::uint32_t mxcsr) {
    constexpr std::uint8_t suppress_precision = 8;
    using Bits = FpBits<format>;
    const mxcsr::Rounding mode = rounding_mode(immediate, mxcsr);
    auto rounded = lanes<Bits>(a);
    std::uint32_t flags = 0;
    for (unsigned i = 0; i < active_lanes<format>; ++i) {
        const auto result = soft::round_to_integer<Bits>(lanes<Bits>(b)[i], mode, mxcsr);
        rounded[i] = result.value;
        flags |= result.flags;
    }
    x86::sse_environment::raise(immediate & suppress_precision ? flags & ~mxcsr::precision : flags);
    return to_block(rounded);
}

template <FpFormat format, std::size_t blocks>
struct Round {
    static void run(Cpu& cpu, const Insn& insn) {
        const auto b = fp_source<format, blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv);
        const auto result = computed(cpu, [&] {
            Vector<blocks> rounded;
            for (std::size_t i = 0; i < blocks; ++i) {
                rounded[i] = round_block<format>(a[i], b[i], immediate(insn), cpu.fp.mxcsr);
            }
            return rounded;
        });
        write(cpu, insn, result);
    }
};

Block widen_half(Block b) {
    Lanes<std::uint32_t> result{};
    std::uint32_t flags = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const auto single = soft::half_to_single(lanes<std::uint16_t>(b)[i]);
        result[i] = single.value;
        flags |= single.flags;
    }
    x86::sse_environment::raise(flags);
    return to_block(result);
}

void half_to_single(Cpu& cpu, const Insn& insn) {
    const Block b = low_source<std::uint64_t>(cpu, insn);
    write(cpu, insn, computed(cpu, [&] { return widen_half(b); }));
}

void half_to_single_wide(Cpu& cpu, const Insn& insn) {
    const Block b = source<1>(cpu, insn)[0];
    write(cpu, insn, computed(cpu, [&] { return Vector<2>{widen_half(b), widen_half(low_lane(b[1]))}; }));
}

// Four halves, in the low 64 bits.
std::uint64_t narrow_single(Block b, std::uint8_t immediate, std::uint32_t mxcsr, std::uint32_t& flags) {
    Lanes<std::uint16_t> result{};
    for (unsigned i = 0; i < 4; ++i) {
        const auto half =
            soft::single_to_half(lanes<std::uint32_t>(b)[i], rounding_mode(immediate, mxcsr), mxcsr);
        result[i] = half.value;
        flags |= half.flags;
    }
    return to_block(result)[0];
}

// The destination is r/m.
template <std::size_t blocks>
void single_to_half(Cpu& cpu, const Insn& insn) {
    const auto b = read<blocks>(cpu, insn.reg);
    std::uint32_t flags = 0;
    const auto compute = [&] {
        Block halves{};
        for (std::size_t i = 0; i < blocks; ++i) {
            halves[i] = narrow_single(b[i], immediate(insn), cpu.fp.mxcsr, flags);
        }
        x86::sse_environment::raise(flags);
        return halves;
    };
    if (insn.memory) { // a fault of the store comes before the arithmetic's flags
        constexpr unsigned size = 8 * blocks;
        cpu.probe_at(cpu.operand_address(insn, size, Access::write), size, Access::write, insn.segment);
    }
    const Block halves = computed(cpu, compute, [&](std::uint32_t) { return flags; });
    if (!insn.memory) {
        write_register<1>(cpu, insn, insn.rm, {halves});
    } else if constexpr (blocks == 1) {
        cpu.store<std::uint64_t>(insn, halves[0]);
    } else {
        cpu.store<Block>(insn, halves);
    }
}

Handler select_half_to_single(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &half_to_single, &half_to_single_wide);
}

Handler select_single_to_half(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &single_to_half<1>, &single_to_half<2>);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(ROUNDPS, select_fp<Round, FpFormat::ps>),
    STRATA_SSE_AVX(ROUNDPD, select_fp<Round, FpFormat::pd>),
    STRATA_SSE_AVX(ROUNDSS, select_fp<Round, FpFormat::ss>),
    STRATA_SSE_AVX(ROUNDSD, select_fp<Round, FpFormat::sd>),
    STRATA_SSE(VCVTPH2PS, select_half_to_single),
    STRATA_SSE(VCVTPS2PH, select_single_to_half),
};

} // namespace

constinit const Rows fp_round_rows = rows;

} // namespace strata::cpu::interpreter::simd
