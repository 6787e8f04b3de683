// ADD, SUB, MUL, DIV, MIN, MAX, SQRT, RCP, RSQRT in their four formats, and ADDSUB. SDM volume 2, by
// instruction.
#include "cpu/interpreter/simd/fp_operands.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/x86/soft_float.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

namespace unit = x86::sse_unit;
namespace soft = x86::soft_float;

// An operation: what it computes on blocks and, if it may overflow or underflow, which flags a lane then
// raises.
struct Add {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::add<format>(a, b);
    }

    template <class Bits>
    static std::uint32_t flags(Bits x, Bits y, std::uint32_t mxcsr) {
        return soft::add_flags(x, y, mxcsr);
    }
};

struct Sub {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::sub<format>(a, b);
    }

    template <class Bits>
    static std::uint32_t flags(Bits x, Bits y, std::uint32_t mxcsr) {
        return soft::sub_flags(x, y, mxcsr);
    }
};

struct Mul {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::mul<format>(a, b);
    }

    template <class Bits>
    static std::uint32_t flags(Bits x, Bits y, std::uint32_t mxcsr) {
        return soft::mul_flags(x, y, mxcsr);
    }
};

struct Div {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::div<format>(a, b);
    }

    template <class Bits>
    static std::uint32_t flags(Bits x, Bits y, std::uint32_t mxcsr) {
        return soft::div_flags(x, y, mxcsr);
    }
};

struct Min {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::min<format>(a, b);
    }
};

struct Max {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::max<format>(a, b);
    }
};

struct Sqrt {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::sqrt<format>(a, b);
    }
};

struct Rcp {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::rcp<format>(a, b);
    }
};

struct Rsqrt {
    template <FpFormat format>
    static Block compute(Block a, Block b) {
        return unit::rsqrt<format>(a, b);
    }
};

template <class Operation>
struct Arithmetic {
    template <FpFormat format, std::size_t blocks>
    struct Instruction {
        static void run(Cpu& cpu, const Insn& insn) {
            const auto b = fp_source<format, blocks>(cpu, insn);
            const auto a = read<blocks>(cpu, insn.vvvv);
            const auto compute = [&] {
                Vector<blocks> result;
                for (std::size_t i = 0; i < blocks; ++i) {
                    result[i] = Operation::template compute<format>(a[i], b[i]);
                }
                return result;
            };
            if constexpr (requires { Operation::flags(FpBits<format>{}, FpBits<format>{}, 0U); }) {
                const auto post_flags = [&](std::uint32_t mxcsr) {
                    std::uint32_t flags = 0;
                    for (std::size_t i = 0; i < blocks; ++i) {
                        flags |= lane_flags<format>(
                            [=](auto x, auto y) { return Operation::flags(x, y, mxcsr); }, a[i], b[i]);
                    }
                    return flags;
                };
                write(cpu, insn, computed(cpu, compute, post_flags));
            } else {
                write(cpu, insn, computed(cpu, compute));
            }
        }
    };
};

template <class Operation, FpFormat format>
constexpr auto arithmetic = &select_fp<Arithmetic<Operation>::template Instruction, format>;

// ADDSUBPS, PD: a - b in even lanes, a + b in odd ones.
template <FpFormat format, std::size_t blocks>
struct AddSub {
    static constexpr bool doubles = is_double(format);
    static constexpr Block even{doubles ? ~std::uint64_t{0} : 0xFFFF'FFFF, doubles ? 0 : 0xFFFF'FFFF};

    static void run(Cpu& cpu, const Insn& insn) {
        const auto b = source<blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv);
        const auto compute = [&] {
            // Lanes of zeros raise nothing.
            Vector<blocks> result;
            for (std::size_t i = 0; i < blocks; ++i) {
                const Block difference = unit::sub<format>(a[i] & even, b[i] & even);
                const Block sum = unit::add<format>(a[i] & ~even, b[i] & ~even);
                result[i] = (difference & even) | (sum & ~even);
            }
            return result;
        };
        const auto post_flags = [&](std::uint32_t mxcsr) {
            using Bits = FpBits<format>;
            std::uint32_t flags = 0;
            for (std::size_t i = 0; i < blocks; ++i) {
                const auto sub_flags = [=](Bits x, Bits y) { return soft::sub_flags(x, y, mxcsr); };
                const auto add_flags = [=](Bits x, Bits y) { return soft::add_flags(x, y, mxcsr); };
                flags |= lane_flags<format>(sub_flags, a[i] & even, b[i] & even);
                flags |= lane_flags<format>(add_flags, a[i] & ~even, b[i] & ~even);
            }
            return flags;
        };
        write(cpu, insn, computed(cpu, compute, post_flags));
    }
};

#define STRATA_SINGLES(name, Operation)                                                                      \
    STRATA_SSE_AVX(name##PS, arithmetic<Operation, FpFormat::ps>),                                           \
        STRATA_SSE_AVX(name##SS, arithmetic<Operation, FpFormat::ss>)
#define STRATA_ALL(name, Operation)                                                                          \
    STRATA_SINGLES(name, Operation), STRATA_SSE_AVX(name##PD, arithmetic<Operation, FpFormat::pd>),          \
        STRATA_SSE_AVX(name##SD, arithmetic<Operation, FpFormat::sd>)

constexpr Row rows[] = {
    STRATA_ALL(ADD, Add),
    STRATA_ALL(SUB, Sub),
    STRATA_ALL(MUL, Mul),
    STRATA_ALL(DIV, Div),
    STRATA_ALL(MIN, Min),
    STRATA_ALL(MAX, Max),
    STRATA_ALL(SQRT, Sqrt),
    STRATA_SINGLES(RCP, Rcp),
    STRATA_SINGLES(RSQRT, Rsqrt),
    STRATA_SSE_AVX(ADDSUBPS, select_fp<AddSub, FpFormat::ps>),
    STRATA_SSE_AVX(ADDSUBPD, select_fp<AddSub, FpFormat::pd>),
};

} // namespace

constinit const Rows fp_arithmetic_rows = rows;

} // namespace strata::cpu::interpreter::simd
