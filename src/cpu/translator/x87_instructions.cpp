// x87 instructions, which run on the host's unit: as they are, but for operands in memory, and what would
// have an exception reported. The host keeps no record of the guest's last instruction: what stands for it is
// stored in its place, as late as possible, and only if it is still the last one then.
#include "cpu/translator/block_compiler.hpp"
#include "cpu/x86/isa_features.hpp"
#include "cpu/x86/x87.hpp"

#include <algorithm>

namespace strata::cpu::translator {

using Xbyak::Reg64;
using Xbyak::RegExp;

namespace {

constexpr unsigned first_escape = 0xD8, last_escape = 0xDF; // opcodes

bool escapes(const ZydisDecodedInstruction& info) {
    return info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
           info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && info.opcode >= first_escape &&
           info.opcode <= last_escape;
}

// Those whose work is on the record, the tags or all of the state.
bool is_left_to_interpreter(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNINIT:
    case ZYDIS_MNEMONIC_FENI8087_NOP:
    case ZYDIS_MNEMONIC_FDISI8087_NOP:
    case ZYDIS_MNEMONIC_FSETPM287_NOP: return true;
    default: return false;
    }
}

// There is a record of all others.
bool controls(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_FLDCW:
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FNCLEX:
    case ZYDIS_MNEMONIC_FWAIT: return true;
    default: return false;
    }
}

bool writes(const Decoded& decoded, int guest) {
    return std::ranges::any_of(decoded.all(), [guest](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_written(operand) &&
               is_general(operand.reg.value) && static_cast<int>(number_of(operand.reg.value)) == guest;
    });
}

} // namespace

// MMX's are copied as all others that compute.
bool BlockCompiler::wants_x87(const Decoded& decoded) const {
    return is_x87(decoded) || (decoded.uses_mmx() && copyable(decoded));
}

bool BlockCompiler::is_x87(const Decoded& decoded) const {
    const ZydisDecodedInstruction& info = decoded.info;
    if (info.mnemonic == ZYDIS_MNEMONIC_FWAIT) {
        return true;
    }
    const ZydisDecodedOperand* memory = memory_operand(decoded);
    return escapes(info) && !is_left_to_interpreter(info.mnemonic) && x86::has_instruction(host_, info) &&
           (memory == nullptr || addressable(decoded, *memory));
}

bool BlockCompiler::x87_instruction(const Decoded& decoded) {
    if (!is_x87(decoded)) {
        return false;
    }
    need_x87();
    const ZydisDecodedInstruction& info = decoded.info;
    if (info.mnemonic == ZYDIS_MNEMONIC_FWAIT) {
        return true; // no exception waits, else the unit would not be loaded
    }
    const ZydisDecodedOperand* memory = memory_operand(decoded);
    if (memory == nullptr) {
        escape(decoded);
    } else {
        const EffectiveAddress address = address_of(decoded, *memory, next_rip());
        const RegExp host =
            look_up(address, memory->size / 8U, is_written(*memory) ? Access::write : Access::read);
        if (info.mnemonic == ZYDIS_MNEMONIC_FLDCW) {
            load_control_word(host);
        } else {
            expect_trap();
            escape(decoded, host);
        }
        if (!controls(info.mnemonic)) {
            record_.operand = address;
            record_.operand.segment = EffectiveAddress::none; // the offset alone
            record_.segment = rest_.front().insn.segment;
        }
    }
    if (!controls(info.mnemonic)) {
        record_.last = site_;
    }
    return true;
}

void BlockCompiler::escape(const Decoded& decoded) {
    if (decoded.info.mnemonic == ZYDIS_MNEMONIC_FNSTSW && a.host_register(x86::rax) != x86::rax) {
        a.fnstsw(a.word[a.rsp + layout.reg(x86::rax)]);
        return;
    }
    const auto& modrm = decoded.info.raw.modrm;
    a.db(decoded.info.opcode);
    a.db(modrm.mod << 6 | modrm.reg << 3 | modrm.rm);
}

void BlockCompiler::escape(const Decoded& decoded, const RegExp& host) {
    // Of a MOV, the prefix and what follows the opcode.
    std::uint8_t* const at = a.here();
    a.mov(a.dword[host], Xbyak::Reg32(decoded.info.raw.modrm.reg));
    const bool prefix = (*at & 0xF0) == 0x40;
    at[prefix ? 1 : 0] = decoded.info.opcode;
}

// Only if it masks all exceptions; and by what is in a table, one that does is loaded.
void BlockCompiler::load_control_word(const RegExp& host) {
    Label masked;
    expect_trap();
    a.movzx(a.r15d, a.word[host]);
    a.pext(a.rcx, a.r15, a.state(layout.x87_exception_masks));
    a.lea(a.rcx, a.ptr[a.rcx - x86::fp_exception::all]);
    a.jrcxz(masked);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(masked);
    a.pext(a.rcx, a.r15, a.state(layout.x87_control_mask));
    a.fldcw(a.word[a.rsp + a.rcx * 8 + layout.x87_control_words]);
}

// ---- the unit ----

void BlockCompiler::need_x87() {
    native_.uses_x87 = true;
    if (!x87_loaded_) {
        load_unit(layout.x87_place, stubs_.load_x87);
        x87_loaded_ = true;
    }
}

// ---- the record of the last instruction ----

void BlockCompiler::settle_record() { emit_record(std::exchange(record_, {})); }

// In front of an instruction.
void BlockCompiler::settle_record_for(const TraceInstruction& instruction) {
    const Decoded& decoded = instruction.decoded;
    const bool stays =
        instruction.known && (wants_x87(decoded) || copyable(decoded) ||
                              decoded.info.mnemonic == ZYDIS_MNEMONIC_LEA || decoded.jump_condition());
    if (!stays) {
        settle_record();
    } else if (record_.segment != X87Record::no_operand &&
               (writes(decoded, record_.operand.base) || writes(decoded, record_.operand.index))) {
        emit_record({.operand = record_.operand, .segment = record_.segment});
        record_.segment = X87Record::no_operand;
    }
}

// Uses rCX, R14 and R15. Changes no flags.
void BlockCompiler::emit_record(const X87Record& record) {
    if (record.segment != X87Record::no_operand) {
        put_address(a.rcx, record.operand);
        a.mov(a.state(layout.x87_operand), a.rcx);
        a.mov(a.state32(layout.x87_operand_segment), static_cast<std::uint32_t>(record.segment));
    }
    if (record.last != nullptr) {
        a.address(a.r14, Relocation::Kind::site, record.last);
        a.mov(a.state(layout.x87_last), a.r14);
        in_r14_ = 0;
    }
}

} // namespace strata::cpu::translator
