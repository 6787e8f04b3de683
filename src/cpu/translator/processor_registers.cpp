// Instructions on what is neither memory nor a general register: selectors, the bases of FS and GS, control
// registers, the time-stamp counter, the direction flag. What faults the interpreter does.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using Xbyak::Reg64;

namespace {

bool is_class(const ZydisDecodedOperand& operand, ZydisRegisterClass kind) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(operand.reg.value) == kind;
}

} // namespace

bool BlockCompiler::processor_register(const Decoded& decoded) {
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_MOV: return read_selector(decoded) || read_control_register(decoded);
    case ZYDIS_MNEMONIC_RDFSBASE: return read_base(decoded, x86::fs);
    case ZYDIS_MNEMONIC_RDGSBASE: return read_base(decoded, x86::gs);
    case ZYDIS_MNEMONIC_WRFSBASE: return write_base(decoded, x86::fs);
    case ZYDIS_MNEMONIC_WRGSBASE: return write_base(decoded, x86::gs);
    case ZYDIS_MNEMONIC_RDTSC: return read_time_stamp(false);
    case ZYDIS_MNEMONIC_RDTSCP: return read_time_stamp(true);
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD: set_direction(decoded.info.mnemonic == ZYDIS_MNEMONIC_STD); return true;
    default: return false;
    }
}

// 32 or 64 bits of the processor's state to a guest register.
void BlockCompiler::load_from_state(unsigned guest, unsigned bits, int state) {
    const auto host = a.host_register(guest);
    const Reg64 whole = host ? Reg64(static_cast<int>(*host)) : a.r15;
    if (bits == 64) {
        a.mov(whole, a.state(state));
    } else {
        a.mov(whole.cvt32(), a.state32(state));
    }
    if (!host) {
        a.mov(a.state(layout.reg(guest)), whole);
    }
}

bool BlockCompiler::read_selector(const Decoded& decoded) {
    const ZydisDecodedOperand &to = decoded.operands[0], &from = decoded.operands[1];
    if (!is_class(from, ZYDIS_REGCLASS_SEGMENT)) {
        return false;
    }
    const auto selector =
        a.word[a.rsp + layout.selector(static_cast<unsigned>(ZydisRegisterGetId(from.reg.value)))];
    if (to.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        if (!addressable(decoded, to)) {
            return false;
        }
        const Xbyak::RegExp host = look_up(address_of(decoded, to, next_rip()), 2, Access::write);
        a.movzx(a.r15d, selector);
        expect_trap();
        a.mov(a.word[host], a.r15w);
        return true;
    }
    const unsigned guest = number_of(to.reg.value);
    const auto host = a.host_register(guest);
    if (host && to.size > 16) {
        a.movzx(Xbyak::Reg32(static_cast<int>(*host)), selector);
        return true;
    }
    a.movzx(a.r15d, selector);
    if (host) {
        a.mov(Xbyak::Reg16(static_cast<int>(*host)), a.r15w);
    } else if (to.size > 16) {
        a.mov(a.state(layout.reg(guest)), a.r15);
    } else {
        a.mov(a.word[a.rsp + layout.reg(guest)], a.r15w);
    }
    return true;
}

bool BlockCompiler::read_control_register(const Decoded& decoded) {
    const ZydisDecodedOperand &to = decoded.operands[0], &from = decoded.operands[1];
    if (native_.user || !is_class(from, ZYDIS_REGCLASS_CONTROL)) {
        return false;
    }
    int state = 0;
    switch (from.reg.value) { // CR8 is the platform's
    case ZYDIS_REGISTER_CR0: state = layout.cr0; break;
    case ZYDIS_REGISTER_CR2: state = layout.cr2; break;
    case ZYDIS_REGISTER_CR3: state = layout.cr3; break;
    case ZYDIS_REGISTER_CR4: state = layout.cr4; break;
    default: return false;
    }
    load_from_state(number_of(to.reg.value), to.size, state);
    return true;
}

// By 32 bits of the processor's state. Uses rCX.
void BlockCompiler::interpret_unless_zero(int state) {
    Label zero;
    a.mov(a.ecx, a.state32(state));
    a.jrcxz(zero);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(zero);
}

bool BlockCompiler::read_base(const Decoded& decoded, unsigned segment) {
    if (native_.narrow) {
        return false;
    }
    const ZydisDecodedOperand& to = decoded.operands[0];
    interpret_unless_zero(layout.bases_unusable);
    load_from_state(number_of(to.reg.value), to.size, layout.segment_base(segment));
    return true;
}

bool BlockCompiler::write_base(const Decoded& decoded, unsigned segment) {
    if (native_.narrow) {
        return false;
    }
    const ZydisDecodedOperand& from = decoded.operands[0];
    interpret_unless_zero(layout.bases_unusable);
    const Reg64 base = a.guest(number_of(from.reg.value), a.r14);
    if (base == a.r14) {
        in_r14_ = 0;
    }
    if (from.size == 32) {
        a.mov(a.r15d, base.cvt32());
        a.mov(a.state(layout.segment_base(segment)), a.r15);
        return true;
    }
    Label canonical;
    a.mov(a.ecx, 16);
    a.shlx(a.r15, base, a.rcx);
    a.sarx(a.r15, a.r15, a.rcx);
    a.not_(a.r15);
    a.lea(a.rcx, a.ptr[a.r15 + base + 1]);
    a.jrcxz(canonical);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(canonical);
    a.mov(a.state(layout.segment_base(segment)), base);
    return true;
}

// Time that is made of instructions is the interpreter's.
bool BlockCompiler::read_time_stamp(bool with_id) {
    if (layout.remaining) {
        return false;
    }
    if (native_.user) {
        interpret_unless_zero(layout.time_stamp_refused);
    }
    a.call(stubs_.time_stamp);
    vectors_loaded_ = x87_loaded_ = false;
    if (with_id) {
        load_from_state(x86::rcx, 32, layout.tsc_aux);
    }
    return true;
}

void BlockCompiler::set_direction(bool down) {
    clear_bits(layout.other_flags, layout.all_but_df);
    if (down) {
        a.lea(a.r14, a.ptr[a.r14 + static_cast<int>(x86::flag::df)]);
    }
    a.mov(a.state(layout.other_flags), a.r14);
    in_r14_ = 0;
}

} // namespace strata::cpu::translator
