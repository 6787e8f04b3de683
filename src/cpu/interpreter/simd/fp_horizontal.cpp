// HADDPS, HADDPD, HSUBPS, HSUBPD: sums and differences of adjacent lanes; DPPS, DPPD: dot products.
// SDM volume 2A, by instruction.
#include "cpu/interpreter/simd/fp_operands.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/x86/soft_float.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

namespace unit = x86::sse_unit;
namespace soft = x86::soft_float;

// The even (first = 0) or the odd lanes of a and b, in this order.
template <FpFormat format, int first>
Block every_other(Block a, Block b) {
    return rearrange<FpBits<format>>(a, b, [](int i) { return 2 * i + first; });
}

template <bool subtract>
struct Horizontal {
    template <FpFormat format, std::size_t blocks>
    struct Instruction {
        static void run(Cpu& cpu, const Insn& insn) {
            const auto b = source<blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv);
            Vector<blocks> left, right;
            for (std::size_t i = 0; i < blocks; ++i) {
                left[i] = every_other<format, 0>(a[i], b[i]);
                right[i] = every_other<format, 1>(a[i], b[i]);
            }
            const auto compute = [&] {
                Vector<blocks> result;
                for (std::size_t i = 0; i < blocks; ++i) {
                    result[i] = subtract ? unit::sub<format>(left[i], right[i])
                                         : unit::add<format>(left[i], right[i]);
                }
                return result;
            };
            const auto post_flags = [&](std::uint32_t mxcsr) {
                std::uint32_t flags = 0;
                for (std::size_t i = 0; i < blocks; ++i) {
                    const auto flags_of = [=](auto x, auto y) {
                        return subtract ? soft::sub_flags(x, y, mxcsr) : soft::add_flags(x, y, mxcsr);
                    };
                    flags |= lane_flags<format>(flags_of, left[i], right[i]);
                }
                return flags;
            };
            write(cpu, insn, computed(cpu, compute, post_flags));
        }
    };
};

template <FpFormat format>
constexpr auto horizontal_add = &select_fp<Horizontal<false>::Instruction, format>;
template <FpFormat format>
constexpr auto horizontal_sub = &select_fp<Horizontal<true>::Instruction, format>;

// One step of a dot product, on both blocks; each step may raise an exception.
template <FpFormat format, std::size_t blocks>
Vector<blocks> multiply(Cpu& cpu, const Vector<blocks>& a, const Vector<blocks>& b) {
    const auto compute = [&] {
        Vector<blocks> result;
        for (std::size_t i = 0; i < blocks; ++i) {
            result[i] = unit::mul<format>(a[i], b[i]);
        }
        return result;
    };
    return computed(cpu, compute, [&](std::uint32_t mxcsr) {
        std::uint32_t flags = 0;
        for (std::size_t i = 0; i < blocks; ++i) {
            flags |=
                lane_flags<format>([=](auto x, auto y) { return soft::mul_flags(x, y, mxcsr); }, a[i], b[i]);
        }
        return flags;
    });
}

// Sums of lanes 2i and 2i + 1, in lanes i; the other lanes are zero.
template <FpFormat format, std::size_t blocks>
Vector<blocks> add_pairs(Cpu& cpu, const Vector<blocks>& terms) {
    Vector<blocks> left, right;
    for (std::size_t i = 0; i < blocks; ++i) {
        left[i] = every_other<format, 0>(terms[i], Block{});
        right[i] = every_other<format, 1>(terms[i], Block{});
    }
    const auto compute = [&] {
        Vector<blocks> result;
        for (std::size_t i = 0; i < blocks; ++i) {
            result[i] = unit::add<format>(left[i], right[i]);
        }
        return result;
    };
    return computed(cpu, compute, [&](std::uint32_t mxcsr) {
        std::uint32_t flags = 0;
        for (std::size_t i = 0; i < blocks; ++i) {
            flags |= lane_flags<format>([=](auto x, auto y) { return soft::add_flags(x, y, mxcsr); }, left[i],
                                        right[i]);
        }
        return flags;
    });
}

// Bits 7:4 of the immediate say which products count, bits 3:0 which lanes receive the sum.
template <FpFormat format, std::size_t blocks>
struct DotProduct {
    static void run(Cpu& cpu, const Insn& insn) {
        auto b = source<blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv);
        const Block included = lane_mask<FpBits<format>>(immediate(insn) >> 4U);
        for (std::size_t i = 0; i < blocks; ++i) {
            a[i] &= included;
            b[i] &= included;
        }
        auto sums = add_pairs<format>(cpu, multiply<format>(cpu, a, b));
        if constexpr (!is_double(format)) {
            sums = add_pairs<format>(cpu, sums);
        }
        const Block receiving = lane_mask<FpBits<format>>(immediate(insn) & 0xFU);
        for (Block& block : sums) {
            using Bits = FpBits<format>;
            block = to_block(Lanes<Bits>{} + lanes<Bits>(block)[0]) & receiving;
        }
        write(cpu, insn, sums);
    }
};

constexpr Row rows[] = {
    STRATA_SSE_AVX(HADDPS, horizontal_add<FpFormat::ps>),
    STRATA_SSE_AVX(HADDPD, horizontal_add<FpFormat::pd>),
    STRATA_SSE_AVX(HSUBPS, horizontal_sub<FpFormat::ps>),
    STRATA_SSE_AVX(HSUBPD, horizontal_sub<FpFormat::pd>),
    STRATA_SSE_AVX(DPPS, select_fp<DotProduct, FpFormat::ps>),
    STRATA_SSE_AVX(DPPD, fixed_128<&DotProduct<FpFormat::pd, 1>::run>),
};

} // namespace

constinit const Rows fp_horizontal_rows = rows;

} // namespace strata::cpu::interpreter::simd
