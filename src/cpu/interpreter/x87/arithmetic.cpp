// x87 addition, subtraction, multiplication and division, by registers and by memory operands.
// SDM volume 1 section 8.3.5, volume 2 FADD to FSUBR.
#include "cpu/interpreter/x87/groups.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

namespace strata::cpu::interpreter::x87 {

namespace {

using fp_unit::Arithmetic;

// ---- between registers ----

template <Arithmetic operation, bool pops>
void between_registers(FpState& fp, unsigned destination, unsigned source) {
    if (is_empty(fp, destination) || is_empty(fp, source)) [[unlikely]] {
        if (!stack_fault(fp, StackFault::underflow)) {
            return;
        }
        set_st(fp, destination, x86::indefinite);
    } else {
        const Status status = fp_unit::arithmetic<operation>(mode(fp), st(fp, destination), st(fp, source));
        commit(fp, status);
        if (is_abandoned(fp, status)) {
            return;
        }
    }
    if (pops) {
        pop(fp);
    }
}

template <Arithmetic operation>
void to_st0(Cpu& cpu, const Insn& insn) {
    between_registers<operation, false>(cpu.fp, 0, insn.rm);
}

template <Arithmetic operation, bool pops>
void to_sti(Cpu& cpu, const Insn& insn) {
    between_registers<operation, pops>(cpu.fp, insn.rm, 0);
}

template <Arithmetic operation>
Handler select_register_form(const Decoded& decoded, Insn& insn) {
    switch (decoded.info.opcode) {
    case 0xD8: return compute<to_st0<operation>>(decoded, insn);
    case 0xDC: return compute<to_sti<operation, false>>(decoded, insn);
    default: return compute<to_sti<operation, true>>(decoded, insn); // DE
    }
}

// ---- ST(0) with memory ----

template <Arithmetic operation, class Source>
void with_memory(Cpu& cpu, const Insn& insn) {
    const Source source = cpu.load<Source>(insn);
    FpState& fp = cpu.fp;
    if (is_empty(fp, 0)) [[unlikely]] {
        if (stack_fault(fp, StackFault::underflow)) {
            set_st(fp, 0, x86::indefinite);
        }
        return;
    }
    commit(fp, fp_unit::arithmetic<operation>(mode(fp), st(fp, 0), source));
}

template <Arithmetic operation>
Handler select(const Decoded& decoded, Insn& insn) {
    if (!insn.memory) {
        return select_register_form<operation>(decoded, insn);
    }
    return memory_width(decoded) == 32 ? compute<with_memory<operation, Float32>>(decoded, insn)
                                       : compute<with_memory<operation, Float64>>(decoded, insn);
}

template <Arithmetic operation>
Handler select_integer(const Decoded& decoded, Insn& insn) {
    return memory_width(decoded) == 16 ? compute<with_memory<operation, std::int16_t>>(decoded, insn)
                                       : compute<with_memory<operation, std::int32_t>>(decoded, insn);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FADD, select<Arithmetic::add>},
    {ZYDIS_MNEMONIC_FADDP, select<Arithmetic::add>},
    {ZYDIS_MNEMONIC_FIADD, select_integer<Arithmetic::add>},
    {ZYDIS_MNEMONIC_FMUL, select<Arithmetic::multiply>},
    {ZYDIS_MNEMONIC_FMULP, select<Arithmetic::multiply>},
    {ZYDIS_MNEMONIC_FIMUL, select_integer<Arithmetic::multiply>},
    {ZYDIS_MNEMONIC_FSUB, select<Arithmetic::subtract>},
    {ZYDIS_MNEMONIC_FSUBP, select<Arithmetic::subtract>},
    {ZYDIS_MNEMONIC_FISUB, select_integer<Arithmetic::subtract>},
    {ZYDIS_MNEMONIC_FSUBR, select<Arithmetic::subtract_reversed>},
    {ZYDIS_MNEMONIC_FSUBRP, select<Arithmetic::subtract_reversed>},
    {ZYDIS_MNEMONIC_FISUBR, select_integer<Arithmetic::subtract_reversed>},
    {ZYDIS_MNEMONIC_FDIV, select<Arithmetic::divide>},
    {ZYDIS_MNEMONIC_FDIVP, select<Arithmetic::divide>},
    {ZYDIS_MNEMONIC_FIDIV, select_integer<Arithmetic::divide>},
    {ZYDIS_MNEMONIC_FDIVR, select<Arithmetic::divide_reversed>},
    {ZYDIS_MNEMONIC_FDIVRP, select<Arithmetic::divide_reversed>},
    {ZYDIS_MNEMONIC_FIDIVR, select_integer<Arithmetic::divide_reversed>},
};

} // namespace

Rows arithmetic_rows() { return rows; }

} // namespace strata::cpu::interpreter::x87
