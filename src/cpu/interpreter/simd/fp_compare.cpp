// CMPPS and its kin with the 8 predicates of SSE and the 32 of AVX; COMISS, UCOMISS. SDM volume 2A, CMPPD
// table 3-1.
#include "cpu/interpreter/simd/fp_operands.hpp"
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"

#include <array>
#include <utility>

namespace strata::cpu::interpreter::simd {
namespace {

namespace unit = x86::sse_unit;

// ---- the predicates that SSE has ----

template <FpFormat format, std::size_t blocks, unit::Compare predicate>
void compare(Cpu& cpu, const Insn& insn) {
    const auto b = fp_source<format, blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv);
    const auto result = computed(cpu, [&] {
        Vector<blocks> masks;
        for (std::size_t i = 0; i < blocks; ++i) {
            masks[i] = unit::cmp<format, predicate>(a[i], b[i]);
        }
        return masks;
    });
    write(cpu, insn, result);
}

// ---- all predicates of AVX, made from three of those ----

struct Predicate {
    bool unordered, less, equal, greater; // when it holds
    bool signaling;                       // raises IE for quiet NaNs
};

constexpr Predicate predicate(std::uint8_t immediate) {
    constexpr std::array<Predicate, 16> table{{
        {false, false, true, false, false},  // EQ
        {false, true, false, false, true},   // LT
        {false, true, true, false, true},    // LE
        {true, false, false, false, false},  // UNORD
        {true, true, false, true, false},    // NEQ
        {true, false, true, true, true},     // NLT
        {true, false, false, true, true},    // NLE
        {false, true, true, true, false},    // ORD
        {true, false, true, false, false},   // EQ, unordered
        {true, true, false, false, true},    // NGE
        {true, true, true, false, true},     // NGT
        {false, false, false, false, false}, // FALSE
        {false, true, false, true, false},   // NEQ, ordered
        {false, false, true, true, true},    // GE
        {false, false, false, true, true},   // GT
        {true, true, true, true, false},     // TRUE
    }};
    Predicate result = table[immediate & 0xF];
    result.signaling ^= (immediate & 0x10) != 0; // the upper 16 are the lower with the opposite signaling
    return result;
}

template <FpFormat format>
Block compare_block(Block a, Block b, const Predicate& holds) {
    constexpr FpFormat packed_format = is_double(format) ? FpFormat::pd : FpFormat::ps;
    const Block unordered = unit::cmp<packed_format, unit::Compare::unord>(a, b);
    if (holds.signaling) {
        (void)unit::cmp<packed_format, unit::Compare::lt>(a, b);
    }
    // Without the NaNs the signaling comparison raises nothing that the first has not.
    a &= ~unordered;
    b &= ~unordered;
    const Block equal = unit::cmp<packed_format, unit::Compare::eq>(a, b) & ~unordered;
    const Block less = unit::cmp<packed_format, unit::Compare::lt>(a, b);
    const Block greater = ~(unordered | equal | less);
    return (holds.unordered ? unordered : Block{}) | (holds.less ? less : Block{}) |
           (holds.equal ? equal : Block{}) | (holds.greater ? greater : Block{});
}

template <FpFormat format, std::size_t blocks>
void compare_any(Cpu& cpu, const Insn& insn) {
    const auto b = fp_source<format, blocks>(cpu, insn), a = read<blocks>(cpu, insn.vvvv);
    const Predicate holds = predicate(immediate(insn));
    // A scalar is compared among lanes of zeros, which raise nothing.
    constexpr Block active =
        is_scalar(format) ? low_lane<FpBits<format>>(static_cast<FpBits<format>>(-1)) : ~Block{};
    const auto result = computed(cpu, [&] {
        Vector<blocks> masks;
        for (std::size_t i = 0; i < blocks; ++i) {
            masks[i] = blend(a[i], compare_block<format>(a[i] & active, b[i] & active, holds), active);
        }
        return masks;
    });
    write(cpu, insn, result);
}

template <FpFormat format, std::size_t blocks>
constexpr auto compare_handlers = [] {
    return []<std::size_t... code>(std::index_sequence<code...>) {
        return std::array<Handler, 8>{&compare<format, blocks, static_cast<unit::Compare>(code)>...};
    }(std::make_index_sequence<8>{});
}();

template <FpFormat format>
Handler select_compare(const Decoded& decoded, Insn& insn) {
    const std::uint8_t code = immediate(insn) & (insn.vex ? 0x1F : 7);
    constexpr std::size_t widest = is_scalar(format) ? 1 : 2;
    if (code < 8) {
        return select_form(decoded, insn, compare_handlers<format, 1>[code],
                           compare_handlers<format, widest>[code]);
    }
    return select_form(decoded, insn, &compare_any<format, 1>, &compare_any<format, widest>);
}

// ---- comparisons that set flags ----

template <FpFormat format, bool quiet>
void compare_order(Cpu& cpu, const Insn& insn) {
    const Block b = low_source<FpBits<format>>(cpu, insn), a = read_block(cpu, insn.reg);
    const unit::Order order =
        computed(cpu, [&] { return quiet ? unit::ucomi<format>(a, b) : unit::comi<format>(a, b); });
    cpu.flags.set_arithmetic((order.zf ? x86::flag::zf : 0) | (order.pf ? x86::flag::pf : 0) |
                             (order.cf ? x86::flag::cf : 0));
}

template <FpFormat format, bool quiet>
Handler select_order(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &compare_order<format, quiet>, &compare_order<format, quiet>);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(CMPPS, select_compare<FpFormat::ps>),
    STRATA_SSE_AVX(CMPPD, select_compare<FpFormat::pd>),
    STRATA_SSE_AVX(CMPSS, select_compare<FpFormat::ss>),
    STRATA_SSE_AVX(CMPSD, select_compare<FpFormat::sd>),
    STRATA_SSE_AVX(COMISS, select_order<FpFormat::ss, false>),
    STRATA_SSE_AVX(COMISD, select_order<FpFormat::sd, false>),
    STRATA_SSE_AVX(UCOMISS, select_order<FpFormat::ss, true>),
    STRATA_SSE_AVX(UCOMISD, select_order<FpFormat::sd, true>),
};

} // namespace

constinit const Rows fp_compare_rows = rows;

} // namespace strata::cpu::interpreter::simd
