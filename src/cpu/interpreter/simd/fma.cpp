// FMA3: VFMADD, VFMSUB, VFNMADD, VFNMSUB, VFMADDSUB, VFMSUBADD, each with its operands in three orders.
// SDM volume 1 section 14.5.
#include "cpu/interpreter/simd/fp_operands.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/x86/soft_float.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

namespace soft = x86::soft_float;
using x86::sse_unit::Fused;

// Which of the operands 1 (the destination), 2 (vvvv) and 3 (r/m) are the factors and the addend.
enum class Order : std::uint8_t { o132, o213, o231 };

template <FpFormat format, Fused operation>
std::uint32_t fused_flags(Block x, Block y, Block z, std::uint32_t mxcsr) {
    using Bits = FpBits<format>;
    std::uint32_t flags = 0;
    for (unsigned i = 0; i < active_lanes<format>; ++i) {
        const auto signs = x86::sse_unit::fused_signs(operation, i);
        flags |= soft::fused_multiply_add<Bits>(lanes<Bits>(x)[i], lanes<Bits>(y)[i], lanes<Bits>(z)[i],
                                                signs, mxcsr)
                     .flags;
    }
    return flags & (x86::mxcsr::overflow | x86::mxcsr::underflow | x86::mxcsr::precision);
}

template <Fused operation, Order order>
struct MultiplyAdd {
    template <FpFormat format, std::size_t blocks>
    struct Instruction {
        static void run(Cpu& cpu, const Insn& insn) {
            const auto third = fp_source<format, blocks>(cpu, insn);
            const auto first = read<blocks>(cpu, insn.reg), second = read<blocks>(cpu, insn.vvvv);
            const auto& x = order == Order::o132 ? first : second;
            const auto& y = order == Order::o213 ? first : third;
            const auto& z = order == Order::o132 ? second : order == Order::o213 ? third : first;
            const auto compute = [&] {
                Vector<blocks> result;
                for (std::size_t i = 0; i < blocks; ++i) {
                    result[i] = x86::sse_unit::fused<format, operation>(x[i], y[i], z[i]);
                }
                return result;
            };
            auto result = computed(cpu, compute, [&](std::uint32_t mxcsr) {
                std::uint32_t flags = 0;
                for (std::size_t i = 0; i < blocks; ++i) {
                    flags |= fused_flags<format, operation>(x[i], y[i], z[i], mxcsr);
                }
                return flags;
            });
            if constexpr (is_scalar(format)) {
                using Bits = FpBits<format>;
                result[0] = blend(first[0], result[0], low_lane<Bits>(static_cast<Bits>(~Bits{0})));
            }
            write(cpu, insn, result);
        }
    };
};

#define STRATA_FMA_ROW(name, operation, order, format)                                                       \
    STRATA_SSE(name, select_fp<MultiplyAdd<Fused::operation, Order::o##order>::Instruction, FpFormat::format>)
#define STRATA_FMA_PACKED_ROWS(name, operation, order)                                                       \
    STRATA_FMA_ROW(name##order##PS, operation, order, ps),                                                   \
        STRATA_FMA_ROW(name##order##PD, operation, order, pd)
#define STRATA_FMA_ALL_ROWS(name, operation, order)                                                          \
    STRATA_FMA_PACKED_ROWS(name, operation, order), STRATA_FMA_ROW(name##order##SS, operation, order, ss),   \
        STRATA_FMA_ROW(name##order##SD, operation, order, sd)
#define STRATA_FMA_ORDERS(rows_of, name, operation)                                                          \
    rows_of(name, operation, 132), rows_of(name, operation, 213), rows_of(name, operation, 231)

constexpr Row rows[] = {
    STRATA_FMA_ORDERS(STRATA_FMA_ALL_ROWS, VFMADD, add),
    STRATA_FMA_ORDERS(STRATA_FMA_ALL_ROWS, VFMSUB, sub),
    STRATA_FMA_ORDERS(STRATA_FMA_ALL_ROWS, VFNMADD, negated_add),
    STRATA_FMA_ORDERS(STRATA_FMA_ALL_ROWS, VFNMSUB, negated_sub),
    STRATA_FMA_ORDERS(STRATA_FMA_PACKED_ROWS, VFMADDSUB, add_sub),
    STRATA_FMA_ORDERS(STRATA_FMA_PACKED_ROWS, VFMSUBADD, sub_add),
};

} // namespace

constinit const Rows fma_rows = rows;

} // namespace strata::cpu::interpreter::simd
