// PUSH and POP and their kin, whose memory is the stack's.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using Xbyak::Reg64;
using Xbyak::RegExp;

namespace {

constexpr unsigned guest_rsp = x86::rsp;

} // namespace

bool BlockCompiler::stack_instruction(const Decoded& decoded) {
    const ZydisDecodedInstruction& info = decoded.info;
    const ZydisDecodedOperand& operand = decoded.operands[0];
    const bool push = info.mnemonic == ZYDIS_MNEMONIC_PUSH, pop = info.mnemonic == ZYDIS_MNEMONIC_POP;
    const bool full = info.operand_width == decoded.word() * 8;
    if (info.mnemonic == ZYDIS_MNEMONIC_LEAVE && full) {
        leave_frame();
        return true;
    }
    if (push && operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && full) {
        push_constant(operand.imm.value.u);
        return true;
    }
    if (push && operand.type == ZYDIS_OPERAND_TYPE_MEMORY && full && addressable(decoded, operand)) {
        push_from_memory(decoded);
        return true;
    }
    if (!is_word(decoded, operand) || !(push || pop)) {
        return false;
    }
    const unsigned number = number_of(operand.reg.value);
    if (push) {
        const RegExp top = look_up(on_stack(-word()), word(), Access::write);
        const Reg64 from = a.guest(number, a.r15);
        store_word(top, from);
        a.lea(a.r12, a.ptr[a.r12 - word()]);
        return true;
    }
    const RegExp top = look_up(on_stack(0), word(), Access::read);
    const auto host = a.host_register(number);
    const Reg64 to = host ? Reg64(static_cast<int>(*host)) : a.r15;
    load_word(to, top);
    if (number == guest_rsp) {
        return true;
    }
    if (!host) {
        a.mov(a.state(layout.reg(number)), to);
    }
    a.lea(a.r12, a.ptr[a.r12 + word()]);
    return true;
}

// Both accesses may fail before anything has changed. Where the first one does, the second one's check has
// not been made, on which what follows would rely.
void BlockCompiler::push_from_memory(const Decoded& decoded) {
    site_->leaves = true;
    borrow_flag(); // for both; all of the slow path sees it so
    const EffectiveAddress address = address_of(decoded, decoded.operands[0], next_rip());
    const RegExp from = look_up(address, word(), Access::read);
    load_word(a.r15, from);
    a.mov(a.state(layout.operand), a.r15);
    const RegExp top = look_up(on_stack(-word()), word(), Access::write);
    a.mov(a.r15, a.state(layout.operand));
    store_word(top, a.r15);
    a.lea(a.r12, a.ptr[a.r12 - word()]);
}

void BlockCompiler::leave_frame() {
    const EffectiveAddress frame{.base = x86::rbp, .narrow = native_.narrow};
    const RegExp top = look_up(frame, word(), Access::read);
    a.lea(a.r15, a.ptr[a.rbp + word()]);
    load_word(a.rbp, top);
    a.mov(a.r12, a.r15);
}

void BlockCompiler::push_constant(std::uint64_t value) {
    const RegExp top = look_up(on_stack(-word()), word(), Access::write);
    if (native_.narrow) {
        expect_trap();
        a.mov(a.dword[top], static_cast<std::uint32_t>(value));
    } else if (fits_immediate(value)) {
        expect_trap();
        a.mov(a.qword[top], value);
    } else {
        a.mov(a.r15, value);
        store_word(top, a.r15);
    }
    a.lea(a.r12, a.ptr[a.r12 - word()]);
}

// The address behind the current instruction.
void BlockCompiler::push_return() {
    const RegExp top = look_up(on_stack(-word()), word(), Access::write);
    const std::uint64_t value = next_rip();
    if (native_.narrow || fits_immediate(value)) {
        expect_trap();
        if (native_.narrow) {
            a.mov(a.dword[top], static_cast<std::uint32_t>(value));
        } else {
            a.mov(a.qword[top], value);
        }
        a.note(native_.narrow ? Relocation::Kind::linear_unsigned : Relocation::Kind::linear_signed, value);
    } else {
        a.linear(a.r15, value);
        store_word(top, a.r15);
    }
    a.lea(a.r12, a.ptr[a.r12 - word()]);
}

void BlockCompiler::load_word(const Reg64& to, const RegExp& from) {
    expect_trap();
    if (native_.narrow) {
        a.mov(to.cvt32(), a.dword[from]);
    } else {
        a.mov(to, a.qword[from]);
    }
}

void BlockCompiler::store_word(const RegExp& to, const Reg64& from) {
    expect_trap();
    if (native_.narrow) {
        a.mov(a.dword[to], from.cvt32());
    } else {
        a.mov(a.qword[to], from);
    }
}

} // namespace strata::cpu::translator
