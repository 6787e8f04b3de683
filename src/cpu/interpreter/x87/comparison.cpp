// x87 comparison and classification: FCOM, FUCOM, FCOMI, FUCOMI, FICOM, FTST, FXAM.
// SDM volume 1 section 8.3.6, volume 2.
#include "cpu/interpreter/x87/groups.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

namespace strata::cpu::interpreter::x87 {

namespace {

constexpr std::uint16_t incomparable = fsw::c0 | fsw::c2 | fsw::c3;

// An empty operand compares as a NaN.
constexpr Status compared_empty = fp_exception::ie | fsw::sf | incomparable;

enum class Ordering : std::uint8_t { ordered, unordered };

template <Ordering ordering>
Status compare_registers(const FpState& fp, unsigned i) {
    if (is_empty(fp, 0) || is_empty(fp, i)) [[unlikely]] {
        return compared_empty;
    }
    const Float80& left = fp.physical[physical_index(fp, 0)];
    const Float80& right = fp.physical[physical_index(fp, i)];
    return ordering == Ordering::ordered ? fp_unit::compare(mode(fp), left, right)
                                         : fp_unit::compare_unordered(mode(fp), left, right);
}

template <unsigned pops>
void pop_unless_abandoned(FpState& fp, Status status) {
    if (!is_abandoned(fp, status)) {
        for (unsigned i = 0; i < pops; ++i) {
            pop(fp);
        }
    }
}

// ---- into the status word ----

template <Ordering ordering, unsigned pops>
void compare_with_sti(Cpu& cpu, const Insn& insn) {
    const Status status = compare_registers<ordering>(cpu.fp, insn.rm);
    commit(cpu.fp, status, fsw::condition);
    pop_unless_abandoned<pops>(cpu.fp, status);
}

template <Ordering ordering>
void compare_with_st1_and_pop_both(Cpu& cpu, const Insn&) {
    const Status status = compare_registers<ordering>(cpu.fp, 1);
    commit(cpu.fp, status, fsw::condition);
    pop_unless_abandoned<2>(cpu.fp, status);
}

template <class Source, unsigned pops>
void compare_with_memory(Cpu& cpu, const Insn& insn) {
    const Source source = cpu.load<Source>(insn);
    FpState& fp = cpu.fp;
    const Status status = is_empty(fp, 0) ? compared_empty : fp_unit::compare(mode(fp), st(fp, 0), source);
    commit(fp, status, fsw::condition);
    pop_unless_abandoned<pops>(fp, status);
}

void compare_with_zero(Cpu& cpu, const Insn&) {
    FpState& fp = cpu.fp;
    commit(fp, is_empty(fp, 0) ? compared_empty : fp_unit::compare(mode(fp), st(fp, 0), Float80{}),
           fsw::condition);
}

template <unsigned pops>
Handler select_ordered(const Decoded& decoded, Insn& insn) {
    if (!insn.memory) {
        return compute<compare_with_sti<Ordering::ordered, pops>>(decoded, insn);
    }
    return memory_width(decoded) == 32 ? compute<compare_with_memory<Float32, pops>>(decoded, insn)
                                       : compute<compare_with_memory<Float64, pops>>(decoded, insn);
}

template <unsigned pops>
Handler select_integer(const Decoded& decoded, Insn& insn) {
    return memory_width(decoded) == 16 ? compute<compare_with_memory<std::int16_t, pops>>(decoded, insn)
                                       : compute<compare_with_memory<std::int32_t, pops>>(decoded, insn);
}

// ---- into RFLAGS: ZF, PF and CF stand where C3, C2 and C0 would ----

template <Ordering ordering, unsigned pops>
void compare_to_flags(Cpu& cpu, const Insn& insn) {
    const Status status = compare_registers<ordering>(cpu.fp, insn.rm);
    const bool clears_c1 = (status & fsw::sf) != 0 || fp_unit::comparison_into_flags_clears_c1();
    commit(cpu.fp, static_cast<Status>(status & ~fsw::condition), clears_c1 ? fsw::c1 : std::uint16_t{0});
    cpu.flags.set_arithmetic((status & fsw::c3 ? x86::flag::zf : 0) | (status & fsw::c2 ? x86::flag::pf : 0) |
                             (status & fsw::c0 ? x86::flag::cf : 0));
    pop_unless_abandoned<pops>(cpu.fp, status);
}

// ---- FXAM ----

Status class_code(x86::Float80Class kind) {
    switch (kind) {
    case x86::Float80Class::unsupported: return 0;
    case x86::Float80Class::nan: return fsw::c0;
    case x86::Float80Class::normal: return fsw::c2;
    case x86::Float80Class::infinity: return fsw::c2 | fsw::c0;
    case x86::Float80Class::zero: return fsw::c3;
    case x86::Float80Class::denormal: return fsw::c3 | fsw::c2;
    }
    return 0;
}

void examine(Cpu& cpu, const Insn&) {
    FpState& fp = cpu.fp;
    constexpr Status empty = fsw::c3 | fsw::c0;
    const Float80& value = st(fp, 0);
    const Status kind = is_empty(fp, 0) ? empty : class_code(x86::classify(value));
    const Status sign = value.sign_exponent >> 15 ? fsw::c1 : Status{0};
    commit(fp, kind | sign, fsw::condition);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FCOM, select_ordered<0>},
    {ZYDIS_MNEMONIC_FCOMP, select_ordered<1>},
    {ZYDIS_MNEMONIC_FCOMPP, compute<compare_with_st1_and_pop_both<Ordering::ordered>>},
    {ZYDIS_MNEMONIC_FICOM, select_integer<0>},
    {ZYDIS_MNEMONIC_FICOMP, select_integer<1>},
    {ZYDIS_MNEMONIC_FUCOM, compute<compare_with_sti<Ordering::unordered, 0>>},
    {ZYDIS_MNEMONIC_FUCOMP, compute<compare_with_sti<Ordering::unordered, 1>>},
    {ZYDIS_MNEMONIC_FUCOMPP, compute<compare_with_st1_and_pop_both<Ordering::unordered>>},
    {ZYDIS_MNEMONIC_FCOMI, compute<compare_to_flags<Ordering::ordered, 0>>},
    {ZYDIS_MNEMONIC_FCOMIP, compute<compare_to_flags<Ordering::ordered, 1>>},
    {ZYDIS_MNEMONIC_FUCOMI, compute<compare_to_flags<Ordering::unordered, 0>>},
    {ZYDIS_MNEMONIC_FUCOMIP, compute<compare_to_flags<Ordering::unordered, 1>>},
    {ZYDIS_MNEMONIC_FTST, compute<compare_with_zero>},
    {ZYDIS_MNEMONIC_FXAM, compute<examine>},
};

} // namespace

Rows comparison_rows() { return rows; }

} // namespace strata::cpu::interpreter::x87
