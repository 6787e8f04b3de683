// Moves: MOV, MOVZX, MOVSX, MOVSXD, MOVBE, BSWAP, XCHG, LEA, CMOVcc, SETcc, sign extensions, XLAT. SDM
// volume 2.
#include "base/bytes.hpp"
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

#include <type_traits>

namespace strata::cpu::interpreter {

namespace {

// ---- MOV ----

template <class T>
void mov_reg_reg(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.reg, cpu.reg<T>(insn.rm));
}

template <class T>
void mov_rm_reg(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.rm, cpu.reg<T>(insn.reg));
}

template <class T>
void mov_reg_memory(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.reg, cpu.load<T>(insn));
}

template <class T>
void mov_memory_reg(Cpu& cpu, const Insn& insn) {
    cpu.store<T>(insn, cpu.reg<T>(insn.reg));
}

template <class T>
void mov_reg_imm(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.rm, static_cast<T>(insn.imm));
}

template <class T>
void mov_memory_imm(Cpu& cpu, const Insn& insn) {
    cpu.store<T>(insn, static_cast<T>(insn.imm));
}

// The offset is in the instruction, in as many bits as addresses have.
template <class T>
void mov_accumulator_offset(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(x86::rax, cpu.load<T>(insn.segment, insn.imm));
}

template <class T>
void mov_offset_accumulator(Cpu& cpu, const Insn& insn) {
    cpu.store<T>(insn.segment, insn.imm, cpu.reg<T>(x86::rax));
}

bool is_general(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) {
        return true;
    }
    const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
    return kind == ZYDIS_REGCLASS_GPR8 || kind == ZYDIS_REGCLASS_GPR16 || kind == ZYDIS_REGCLASS_GPR32 ||
           kind == ZYDIS_REGCLASS_GPR64;
}

bool is_absolute_offset(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM;
}

template <class T>
Handler pick_mov(const Decoded& decoded, Insn& insn) {
    const ZydisDecodedOperand* operands = decoded.operands;
    if (is_absolute_offset(operands[1])) {
        return mov_accumulator_offset<T>;
    }
    if (is_absolute_offset(operands[0])) {
        return mov_offset_accumulator<T>;
    }
    switch (form_of(decoded)) {
    case Form::reg_rm: return insn.memory ? mov_reg_memory<T> : mov_reg_reg<T>;
    case Form::rm_reg: return insn.memory ? mov_memory_reg<T> : mov_rm_reg<T>;
    default: break;
    }
    if (operands[0].encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
        insn.rm = insn.reg;
    }
    return insn.memory ? mov_memory_imm<T> : mov_reg_imm<T>;
}

Handler select_mov(const Decoded& decoded, Insn& insn) {
    if (!is_general(decoded.operands[0]) || !is_general(decoded.operands[1])) {
        return nullptr; // segment, control and debug registers
    }
    return by_width(insn, [&]<class T>(T) { return pick_mov<T>(decoded, insn); });
}

// ---- extensions ----

template <class To, class From, bool memory>
void extend(Cpu& cpu, const Insn& insn) {
    const From value = static_cast<From>(memory ? cpu.load<std::make_unsigned_t<From>>(insn)
                                                : cpu.reg<std::make_unsigned_t<From>>(insn.rm));
    cpu.set_reg<To>(insn.reg, static_cast<To>(value));
}

template <class To, class From>
Handler pick_extend(const Insn& insn) {
    return insn.memory ? extend<To, From, true> : extend<To, From, false>;
}

template <class From>
Handler extend_from(Insn& insn) {
    return by_word_width(insn, [&]<class To>(To) { return pick_extend<To, From>(insn); });
}

Handler select_movzx(const Decoded& decoded, Insn& insn) {
    return decoded.operands[1].size == 8 ? extend_from<std::uint8_t>(insn) : extend_from<std::uint16_t>(insn);
}

Handler select_movsx(const Decoded& decoded, Insn& insn) {
    return decoded.operands[1].size == 8 ? extend_from<std::int8_t>(insn) : extend_from<std::int16_t>(insn);
}

// Without REX.W it moves as many bits as it reads.
Handler select_movsxd(const Decoded&, Insn& insn) {
    switch (insn.operand_size) {
    case 1: return pick_extend<std::uint16_t, std::int16_t>(insn);
    case 2: return pick_extend<std::uint32_t, std::int32_t>(insn);
    default: return pick_extend<std::uint64_t, std::int32_t>(insn);
    }
}

// CBW, CWDE, CDQE: the accumulator's lower half into the whole.
template <class To, class From>
void extend_accumulator(Cpu& cpu, const Insn&) {
    cpu.set_reg<To>(x86::rax, static_cast<To>(static_cast<From>(cpu.regs[x86::rax])));
}

// CWD, CDQ, CQO: the accumulator's sign into rDX.
template <class T>
void spread_sign(Cpu& cpu, const Insn&) {
    const auto value = static_cast<std::make_signed_t<T>>(cpu.reg<T>(x86::rax));
    cpu.set_reg<T>(x86::rdx, static_cast<T>(value < 0 ? -1 : 0));
}

// ---- byte order ----

template <class T>
void bswap(Cpu& cpu, const Insn& insn) {
    // Of 16 bits the result is undefined; processors give 0.
    cpu.set_reg<T>(insn.reg, sizeof(T) == 2 ? T{0} : byte_swap(cpu.reg<T>(insn.reg)));
}

Handler select_bswap(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return bswap<T>; });
}

template <class T>
void movbe_load(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.reg, byte_swap(cpu.load<T>(insn)));
}

template <class T>
void movbe_store(Cpu& cpu, const Insn& insn) {
    cpu.store<T>(insn, byte_swap(cpu.reg<T>(insn.reg)));
}

Handler select_movbe(const Decoded& decoded, Insn& insn) {
    const bool is_load = decoded.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
    return by_word_width(insn,
                         [&]<class T>(T) -> Handler { return is_load ? movbe_load<T> : movbe_store<T>; });
}

// ---- XCHG, LEA, XLAT ----

template <class T>
void xchg_reg(Cpu& cpu, const Insn& insn) {
    const T first = cpu.reg<T>(insn.rm), second = cpu.reg<T>(insn.reg);
    cpu.set_reg<T>(insn.rm, second);
    cpu.set_reg<T>(insn.reg, first);
}

// F3 90 is PAUSE, but with REX.B it exchanges R8 and rAX as 90 does.
Handler select_prefixed_xchg(const Decoded& decoded, Insn& insn) {
    if (!decoded.info.raw.rex.B) {
        return nullptr;
    }
    insn.rm = x86::r8;
    insn.reg = x86::rax;
    return by_word_width(insn, []<class T>(T) -> Handler { return xchg_reg<T>; });
}

// Locked with or without a prefix.
template <class T>
void xchg_memory(Cpu& cpu, const Insn& insn) {
    const T value = cpu.reg<T>(insn.reg);
    cpu.set_reg<T>(insn.reg, cpu.modify<T>(insn, [value](T) { return value; }));
}

Handler select_xchg(const Decoded&, Insn& insn) {
    insn.lock = true;
    return by_width(insn, [&]<class T>(T) -> Handler { return insn.memory ? xchg_memory<T> : xchg_reg<T>; });
}

template <class T>
void lea(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.reg, static_cast<T>(cpu.effective_address(insn)));
}

Handler select_lea(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return lea<T>; });
}

void xlat(Cpu& cpu, const Insn& insn) {
    std::uint64_t offset = cpu.regs[x86::rbx] + cpu.reg<std::uint8_t>(x86::rax);
    if (insn.address_size != 3) {
        offset =
            insn.address_size == 1 ? static_cast<std::uint16_t>(offset) : static_cast<std::uint32_t>(offset);
    }
    cpu.set_reg<std::uint8_t>(x86::rax, cpu.load<std::uint8_t>(insn.segment, offset));
}

// ---- conditions: the code is in `extra` ----

unsigned condition_code(const Decoded& decoded) { return decoded.info.opcode & 0xF; }

// The operand is read, and 32 bits clear the upper half, whether the condition holds or not.
template <class T>
void cmov(Cpu& cpu, const Insn& insn) {
    const T value = cpu.load_rm<T>(insn);
    cpu.set_reg<T>(insn.reg, cpu.flags.condition(insn.extra) ? value : cpu.reg<T>(insn.reg));
}

Handler select_cmov(const Decoded& decoded, Insn& insn) {
    insn.extra = condition_code(decoded) & 0xF;
    return by_word_width(insn, []<class T>(T) -> Handler { return cmov<T>; });
}

void setcc(Cpu& cpu, const Insn& insn) {
    cpu.store_rm<std::uint8_t>(insn, cpu.flags.condition(insn.extra) ? 1 : 0);
}

Handler select_setcc(const Decoded& decoded, Insn& insn) {
    insn.extra = condition_code(decoded) & 0xF;
    return setcc;
}

template <auto handler>
Handler always(const Decoded&, Insn&) {
    return handler;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_MOV, select_mov},
    {ZYDIS_MNEMONIC_MOVZX, select_movzx},
    {ZYDIS_MNEMONIC_MOVSX, select_movsx},
    {ZYDIS_MNEMONIC_MOVSXD, select_movsxd},
    {ZYDIS_MNEMONIC_CBW, always<extend_accumulator<std::uint16_t, std::int8_t>>},
    {ZYDIS_MNEMONIC_CWDE, always<extend_accumulator<std::uint32_t, std::int16_t>>},
    {ZYDIS_MNEMONIC_CDQE, always<extend_accumulator<std::uint64_t, std::int32_t>>},
    {ZYDIS_MNEMONIC_CWD, always<spread_sign<std::uint16_t>>},
    {ZYDIS_MNEMONIC_CDQ, always<spread_sign<std::uint32_t>>},
    {ZYDIS_MNEMONIC_CQO, always<spread_sign<std::uint64_t>>},
    {ZYDIS_MNEMONIC_BSWAP, select_bswap},
    {ZYDIS_MNEMONIC_MOVBE, select_movbe},
    {ZYDIS_MNEMONIC_XCHG, select_xchg},
    {ZYDIS_MNEMONIC_PAUSE, select_prefixed_xchg},
    {ZYDIS_MNEMONIC_LEA, select_lea},
    {ZYDIS_MNEMONIC_XLAT, always<xlat>},
    {ZYDIS_MNEMONIC_CMOVO, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNO, select_cmov},
    {ZYDIS_MNEMONIC_CMOVB, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNB, select_cmov},
    {ZYDIS_MNEMONIC_CMOVZ, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNZ, select_cmov},
    {ZYDIS_MNEMONIC_CMOVBE, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNBE, select_cmov},
    {ZYDIS_MNEMONIC_CMOVS, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNS, select_cmov},
    {ZYDIS_MNEMONIC_CMOVP, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNP, select_cmov},
    {ZYDIS_MNEMONIC_CMOVL, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNL, select_cmov},
    {ZYDIS_MNEMONIC_CMOVLE, select_cmov},
    {ZYDIS_MNEMONIC_CMOVNLE, select_cmov},
    {ZYDIS_MNEMONIC_SETO, select_setcc},
    {ZYDIS_MNEMONIC_SETNO, select_setcc},
    {ZYDIS_MNEMONIC_SETB, select_setcc},
    {ZYDIS_MNEMONIC_SETNB, select_setcc},
    {ZYDIS_MNEMONIC_SETZ, select_setcc},
    {ZYDIS_MNEMONIC_SETNZ, select_setcc},
    {ZYDIS_MNEMONIC_SETBE, select_setcc},
    {ZYDIS_MNEMONIC_SETNBE, select_setcc},
    {ZYDIS_MNEMONIC_SETS, select_setcc},
    {ZYDIS_MNEMONIC_SETNS, select_setcc},
    {ZYDIS_MNEMONIC_SETP, select_setcc},
    {ZYDIS_MNEMONIC_SETNP, select_setcc},
    {ZYDIS_MNEMONIC_SETL, select_setcc},
    {ZYDIS_MNEMONIC_SETNL, select_setcc},
    {ZYDIS_MNEMONIC_SETLE, select_setcc},
    {ZYDIS_MNEMONIC_SETNLE, select_setcc},
};

} // namespace

Rows transfer_rows() { return rows; }

} // namespace strata::cpu::interpreter
