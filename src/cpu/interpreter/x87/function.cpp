// x87 functions: sign, square root, rounding, scaling, remainders and the transcendentals, whose results are
// the host unit's. SDM volume 1 sections 8.3.5, 8.3.7 and 8.3.8, volume 2.
#include "cpu/interpreter/x87/groups.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

namespace strata::cpu::interpreter::x87 {

namespace {

using fp_unit::Adjust, fp_unit::Binary, fp_unit::Pair, fp_unit::Unary;

// True if ST(0) is there; else it has become the indefinite, if the stack fault is masked.
bool has_st0(FpState& fp, std::uint16_t conditions = fsw::c1) {
    if (!is_empty(fp, 0)) [[likely]] {
        return true;
    }
    if (stack_fault(fp, StackFault::underflow, conditions)) {
        set_st(fp, 0, x86::indefinite);
    }
    return false;
}

// ---- ST(0) alone ----

void absolute_value(Cpu& cpu, const Insn&) {
    if (has_st0(cpu.fp)) {
        st(cpu.fp, 0).sign_exponent &= 0x7FFF;
        clear_c1(cpu.fp);
    }
}

void change_sign(Cpu& cpu, const Insn&) {
    if (has_st0(cpu.fp)) {
        st(cpu.fp, 0).sign_exponent ^= 0x8000;
        clear_c1(cpu.fp);
    }
}

template <Unary operation>
void unary(Cpu& cpu, const Insn&) {
    FpState& fp = cpu.fp;
    constexpr bool has_range = operation == Unary::sine || operation == Unary::cosine;
    constexpr std::uint16_t conditions = has_range ? fsw::c1 | fsw::c2 : fsw::c1;
    if (has_st0(fp, conditions)) {
        commit(fp, fp_unit::unary<operation>(mode(fp), st(fp, 0)), conditions);
    }
}

// ---- ST(0) by ST(1) ----

template <Adjust operation>
void adjust(Cpu& cpu, const Insn&) {
    FpState& fp = cpu.fp;
    constexpr bool is_remainder = operation != Adjust::scale;
    constexpr std::uint16_t without_quotient = is_remainder ? fsw::c1 | fsw::c2 : fsw::c1;
    if (is_empty(fp, 0) || is_empty(fp, 1)) [[unlikely]] {
        if (stack_fault(fp, StackFault::underflow, without_quotient)) {
            set_st(fp, 0, x86::indefinite);
        }
        return;
    }
    const Status status = fp_unit::adjust<operation>(mode(fp), st(fp, 0), st(fp, 1));
    const bool has_quotient =
        is_remainder && !is_abandoned(fp, status) && x86::classify(st(fp, 0)) != x86::Float80Class::nan;
    if (has_quotient) {
        commit(fp, status, fsw::condition);
    } else {
        constexpr Status kept = fsw::condition & ~without_quotient;
        commit(fp, static_cast<Status>(status & ~kept), without_quotient);
    }
}

// ---- ST(1) by ST(0), then pop ----

template <Binary operation>
void binary(Cpu& cpu, const Insn&) {
    FpState& fp = cpu.fp;
    if (is_empty(fp, 0) || is_empty(fp, 1)) [[unlikely]] {
        if (!stack_fault(fp, StackFault::underflow)) {
            return;
        }
        set_st(fp, 1, x86::indefinite);
    } else {
        const Status status = fp_unit::binary<operation>(mode(fp), st(fp, 1), st(fp, 0));
        commit(fp, status);
        if (is_abandoned(fp, status)) {
            return;
        }
    }
    pop(fp);
}

// ---- ST(0) to two results ----

void pair_fault(FpState& fp, StackFault fault, std::uint16_t conditions) {
    if (stack_fault(fp, fault, conditions)) {
        set_st(fp, 0, x86::indefinite);
        push(fp, x86::indefinite);
    }
}

template <Pair operation>
void pair(Cpu& cpu, const Insn&) {
    FpState& fp = cpu.fp;
    constexpr std::uint16_t conditions = operation == Pair::extract ? fsw::c1 : fsw::c1 | fsw::c2;
    if (is_empty(fp, 0)) [[unlikely]] {
        pair_fault(fp, StackFault::underflow, conditions);
        return;
    }
    if (!is_empty(fp, 7)) [[unlikely]] {
        pair_fault(fp, StackFault::overflow, conditions);
        return;
    }
    Float80 pushed;
    const Status status = fp_unit::pair<operation>(mode(fp), st(fp, 0), pushed);
    commit(fp, status, conditions);
    if (!is_abandoned(fp, status) && !(status & fsw::c2)) {
        push(fp, pushed);
    }
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FABS, compute<absolute_value>},
    {ZYDIS_MNEMONIC_FCHS, compute<change_sign>},
    {ZYDIS_MNEMONIC_FSQRT, compute<unary<Unary::square_root>>},
    {ZYDIS_MNEMONIC_FRNDINT, compute<unary<Unary::round_to_integer>>},
    {ZYDIS_MNEMONIC_F2XM1, compute<unary<Unary::two_to_x_minus_1>>},
    {ZYDIS_MNEMONIC_FSIN, compute<unary<Unary::sine>>},
    {ZYDIS_MNEMONIC_FCOS, compute<unary<Unary::cosine>>},
    {ZYDIS_MNEMONIC_FSCALE, compute<adjust<Adjust::scale>>},
    {ZYDIS_MNEMONIC_FPREM, compute<adjust<Adjust::remainder_truncating>>},
    {ZYDIS_MNEMONIC_FPREM1, compute<adjust<Adjust::remainder_nearest>>},
    {ZYDIS_MNEMONIC_FPATAN, compute<binary<Binary::arctangent>>},
    {ZYDIS_MNEMONIC_FYL2X, compute<binary<Binary::y_log2_x>>},
    {ZYDIS_MNEMONIC_FYL2XP1, compute<binary<Binary::y_log2_x_plus_1>>},
    {ZYDIS_MNEMONIC_FPTAN, compute<pair<Pair::tangent>>},
    {ZYDIS_MNEMONIC_FSINCOS, compute<pair<Pair::sine_cosine>>},
    {ZYDIS_MNEMONIC_FXTRACT, compute<pair<Pair::extract>>},
};

} // namespace

Rows function_rows() { return rows; }

} // namespace strata::cpu::interpreter::x87
