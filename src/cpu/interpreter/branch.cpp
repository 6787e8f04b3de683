// Near branches: JMP, CALL, RET, Jcc, LOOP, JrCXZ. SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

namespace strata::cpu::interpreter {

namespace {

// T is the operand size: how much of RIP counts.

template <class T>
void jump_relative(Cpu& cpu, const Insn& insn) {
    cpu.near_branch(cpu.rip() + insn.imm, sizeof(T));
}

template <class T>
void jump_indirect(Cpu& cpu, const Insn& insn) {
    cpu.near_branch(cpu.load_rm<T>(insn), sizeof(T));
}

// The target is checked before the return address is pushed, which goes before RIP changes.
template <class T>
void call(Cpu& cpu, std::uint64_t target) {
    const std::uint64_t back = cpu.rip();
    cpu.near_branch(target, sizeof(T));
    const std::uint64_t checked = cpu.rip();
    cpu.rip() = back;
    cpu.push_as<T>(static_cast<T>(back));
    cpu.rip() = checked;
}

template <class T>
void call_relative(Cpu& cpu, const Insn& insn) {
    call<T>(cpu, cpu.rip() + insn.imm);
}

template <class T>
void call_indirect(Cpu& cpu, const Insn& insn) {
    call<T>(cpu, cpu.load_rm<T>(insn));
}

// Releases `imm` bytes of parameters.
template <class T>
void ret(Cpu& cpu, const Insn& insn) {
    const std::uint64_t top = cpu.regs[x86::rsp] & cpu.stack_mask();
    cpu.near_branch(cpu.load<T>(x86::ss, top), sizeof(T));
    cpu.set_stack_pointer(top + sizeof(T) + insn.imm);
}

template <class T, unsigned condition>
void jump_if(Cpu& cpu, const Insn& insn) {
    if (cpu.flags.condition(condition)) {
        jump_relative<T>(cpu, insn);
    }
}

// rCX has the address size; the target the operand size.
template <class T, class Count>
void jump_if_count_zero(Cpu& cpu, const Insn& insn) {
    if (cpu.reg<Count>(x86::rcx) == 0) {
        jump_relative<T>(cpu, insn);
    }
}

enum class Until : std::uint8_t { exhausted, not_zero, zero };

template <class T, class Count, Until until>
void loop(Cpu& cpu, const Insn& insn) {
    const auto left = static_cast<Count>(cpu.reg<Count>(x86::rcx) - 1);
    const bool again =
        left != 0 && (until == Until::exhausted || cpu.flags.zf() == (until == Until::not_zero));
    if (again) {
        jump_relative<T>(cpu, insn);
    }
    cpu.set_reg<Count>(x86::rcx, left);
}

bool is_near(const Decoded& decoded) { return decoded.info.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR; }

Handler select_jump(const Decoded& decoded, Insn& insn) {
    if (!is_near(decoded)) {
        return nullptr;
    }
    const bool relative = decoded.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    return by_word_width(
        insn, [&]<class T>(T) -> Handler { return relative ? jump_relative<T> : jump_indirect<T>; });
}

Handler select_call(const Decoded& decoded, Insn& insn) {
    if (!is_near(decoded)) {
        return nullptr;
    }
    const bool relative = decoded.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    return by_word_width(
        insn, [&]<class T>(T) -> Handler { return relative ? call_relative<T> : call_indirect<T>; });
}

Handler select_ret(const Decoded& decoded, Insn& insn) {
    if (!is_near(decoded)) {
        return nullptr;
    }
    return by_word_width(insn, []<class T>(T) -> Handler { return ret<T>; });
}

template <unsigned condition>
Handler select_condition(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return jump_if<T, condition>; });
}

// Calls f with values of the operand's and of the count's type.
template <class F>
Handler by_operand_and_count(const Insn& insn, F f) {
    return by_word_width(insn, [&]<class T>(T operand) -> Handler {
        switch (insn.address_size) {
        case 1: return f(operand, std::uint16_t{});
        case 2: return f(operand, std::uint32_t{});
        default: return f(operand, std::uint64_t{});
        }
    });
}

Handler select_count_zero(const Decoded&, Insn& insn) {
    return by_operand_and_count(
        insn, []<class T, class Count>(T, Count) -> Handler { return jump_if_count_zero<T, Count>; });
}

template <Until until>
Handler select_loop(const Decoded&, Insn& insn) {
    return by_operand_and_count(
        insn, []<class T, class Count>(T, Count) -> Handler { return loop<T, Count, until>; });
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_JMP, select_jump},
    {ZYDIS_MNEMONIC_CALL, select_call},
    {ZYDIS_MNEMONIC_RET, select_ret},
    {ZYDIS_MNEMONIC_JO, select_condition<0>},
    {ZYDIS_MNEMONIC_JNO, select_condition<1>},
    {ZYDIS_MNEMONIC_JB, select_condition<2>},
    {ZYDIS_MNEMONIC_JNB, select_condition<3>},
    {ZYDIS_MNEMONIC_JZ, select_condition<4>},
    {ZYDIS_MNEMONIC_JNZ, select_condition<5>},
    {ZYDIS_MNEMONIC_JBE, select_condition<6>},
    {ZYDIS_MNEMONIC_JNBE, select_condition<7>},
    {ZYDIS_MNEMONIC_JS, select_condition<8>},
    {ZYDIS_MNEMONIC_JNS, select_condition<9>},
    {ZYDIS_MNEMONIC_JP, select_condition<10>},
    {ZYDIS_MNEMONIC_JNP, select_condition<11>},
    {ZYDIS_MNEMONIC_JL, select_condition<12>},
    {ZYDIS_MNEMONIC_JNL, select_condition<13>},
    {ZYDIS_MNEMONIC_JLE, select_condition<14>},
    {ZYDIS_MNEMONIC_JNLE, select_condition<15>},
    {ZYDIS_MNEMONIC_JCXZ, select_count_zero},
    {ZYDIS_MNEMONIC_JECXZ, select_count_zero},
    {ZYDIS_MNEMONIC_JRCXZ, select_count_zero},
    {ZYDIS_MNEMONIC_LOOP, select_loop<Until::exhausted>},
    {ZYDIS_MNEMONIC_LOOPE, select_loop<Until::not_zero>},
    {ZYDIS_MNEMONIC_LOOPNE, select_loop<Until::zero>},
};

} // namespace

Rows branch_rows() { return rows; }

} // namespace strata::cpu::interpreter
