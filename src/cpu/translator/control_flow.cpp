// Near branches, and PUSH and POP, whose memory is the stack's.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using Xbyak::Label;
using Xbyak::Reg64;

namespace {

constexpr unsigned guest_rsp = x86::rsp;

bool same_page(std::uint64_t a, std::uint64_t b) { return (a ^ b) < memory::page_size; }

bool fits_immediate(std::uint64_t value) {
    return static_cast<std::int64_t>(value) == static_cast<std::int32_t>(value);
}

EffectiveAddress stack(std::int64_t displacement) {
    return {.base = guest_rsp, .displacement = displacement};
}

// The condition code of Jcc in the order of its encoding; empty for the others.
std::optional<unsigned> condition_of(const Decoded& decoded) {
    if (decoded.info.meta.category != ZYDIS_CATEGORY_COND_BR) {
        return std::nullopt;
    }
    const unsigned opcode = decoded.info.opcode;
    const bool near = (decoded.info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (opcode & 0xF0) == 0x70) ||
                      (decoded.info.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xF0) == 0x80);
    return near ? std::optional(opcode & 0xF) : std::nullopt;
}

} // namespace

bool BlockCompiler::control_transfer(const Decoded& decoded) {
    const ZydisDecodedInstruction& info = decoded.info;
    const ZydisDecodedOperand& operand = decoded.operands[0];
    const bool near =
        info.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT || info.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
    const bool relative = operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    if (info.operand_width != 64) {
        return false; // vendors differ
    }
    const std::uint64_t target = relative ? next_rip() + operand.imm.value.u : 0;
    site_->leaves = true; // even where the target is the next instruction
    if (const auto condition = condition_of(decoded)) {
        conditional_jump(*condition, target);
    } else if (info.mnemonic == ZYDIS_MNEMONIC_JMP && near && relative) {
        poll(target);
        jump_to(target);
    } else if (info.mnemonic == ZYDIS_MNEMONIC_CALL && near && relative) {
        call_to(target);
    } else if (info.mnemonic == ZYDIS_MNEMONIC_RET && near) {
        return_from(operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? static_cast<unsigned>(operand.imm.value.u)
                                                                 : 0);
    } else if (near && near_target(decoded) &&
               (info.mnemonic == ZYDIS_MNEMONIC_JMP || info.mnemonic == ZYDIS_MNEMONIC_CALL)) {
        indirect(decoded, info.mnemonic == ZYDIS_MNEMONIC_CALL);
    } else {
        site_->leaves = false;
        return false;
    }
    ended_ = true;
    return true;
}

// ---- PUSH and POP ----

bool BlockCompiler::stack_instruction(const Decoded& decoded) {
    const ZydisDecodedInstruction& info = decoded.info;
    const ZydisDecodedOperand& operand = decoded.operands[0];
    const bool push = info.mnemonic == ZYDIS_MNEMONIC_PUSH, pop = info.mnemonic == ZYDIS_MNEMONIC_POP;
    const bool is_register = operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                             ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_GPR64;
    if (info.mnemonic == ZYDIS_MNEMONIC_LEAVE && info.operand_width == 64) {
        leave_frame();
        return true;
    }
    if (push && operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && info.operand_width == 64) {
        push_constant(operand.imm.value.u);
        return true;
    }
    if (!is_register || !(push || pop)) {
        return false;
    }
    const auto number = static_cast<unsigned>(ZydisRegisterGetId(operand.reg.value));
    if (push) {
        look_up(stack(-8), 8, Access::write);
        a.mov(a.qword[a.r12 + a.r14 - 8], a.guest(number, a.r15));
        a.lea(a.r12, a.ptr[a.r12 - 8]);
        return true;
    }
    look_up(stack(0), 8, Access::read);
    const auto host = host_register(number);
    const Reg64 to = host ? Reg64(static_cast<int>(*host)) : a.r15;
    if (number == guest_rsp) {
        a.mov(to, a.qword[a.r12 + a.r14]);
        return true;
    }
    a.mov(to, a.qword[a.r12 + a.r14]);
    if (!host) {
        a.mov(a.state(layout.reg(number)), to);
    }
    a.lea(a.r12, a.ptr[a.r12 + 8]);
    return true;
}

void BlockCompiler::leave_frame() {
    const EffectiveAddress frame{.base = x86::rbp};
    look_up(frame, 8, Access::read);
    a.lea(a.r12, a.ptr[a.rbp + 8]);
    a.mov(a.rbp, a.qword[a.rbp + a.r14]);
}

void BlockCompiler::push_constant(std::uint64_t value) {
    look_up(stack(-8), 8, Access::write);
    if (fits_immediate(value)) {
        a.mov(a.qword[a.r12 + a.r14 - 8], value);
    } else {
        a.mov(a.r15, value);
        a.mov(a.qword[a.r12 + a.r14 - 8], a.r15);
    }
    a.lea(a.r12, a.ptr[a.r12 - 8]);
}

// ---- to known addresses ----

Link& BlockCompiler::make_link(std::uint64_t target) {
    Link& link = native_.links[native_.link_count++];
    link = {.target = target, .owner = &native_};
    return link;
}

// A jump that the translator directs to the target's code. Into another page it is good for one generation.
void BlockCompiler::emit_link(std::uint64_t target) {
    Link& link = make_link(target);
    const auto exit = std::make_shared<Label>();
    if (!same_page(target, native_.linear)) {
        constexpr int generation_of_none = 0x7FFF'FFFF; // so that the assembler leaves room for any
        a.mov(a.ecx, a.state32(layout.generations[native_.user]));
        a.lea(a.ecx, a.ptr[a.rcx - generation_of_none]);
        link.generation = a.here() - 4;
        Label linked;
        a.jrcxz(linked);
        a.jmp(*exit, Assembler::T_NEAR);
        a.L(linked);
    }
    a.jmp(*exit, Assembler::T_NEAR);
    link.jump = a.here() - 4;
    later([this, &link, exit] {
        a.L(*exit);
        link.unlinked = a.here();
        a.mov(a.r14, reinterpret_cast<std::uintptr_t>(&link));
        a.jmp(stubs_.exit_link, Assembler::T_NEAR);
    });
}

void BlockCompiler::jump_to(std::uint64_t target) {
    emit_link(target);
    ended_ = true;
}

void BlockCompiler::conditional_jump(unsigned condition, std::uint64_t taken) {
    poll(taken);
    const auto label = std::make_shared<Label>();
    // Jcc with a 32-bit distance.
    using Jump = void (Assembler::*)(const Label&, Xbyak::CodeGenerator::LabelType);
    static constexpr std::array<Jump, 16> jumps{
        &Assembler::jo,  &Assembler::jno, &Assembler::jb,  &Assembler::jae, &Assembler::je, &Assembler::jne,
        &Assembler::jbe, &Assembler::ja,  &Assembler::js,  &Assembler::jns, &Assembler::jp, &Assembler::jnp,
        &Assembler::jl,  &Assembler::jge, &Assembler::jle, &Assembler::jg};
    (a.*jumps[condition])(*label, Assembler::T_NEAR);
    if (same_page(taken, native_.linear)) {
        Link& link = make_link(taken);
        link.jump = a.here() - 4;
        later([this, &link, label] {
            a.L(*label);
            link.unlinked = a.here();
            a.mov(a.r14, reinterpret_cast<std::uintptr_t>(&link));
            a.jmp(stubs_.exit_link, Assembler::T_NEAR);
        });
    } else {
        later([this, taken, label] {
            a.L(*label);
            emit_link(taken);
        });
    }
    emit_link(next_rip());
    ended_ = true;
}

void BlockCompiler::call_to(std::uint64_t target) {
    poll(target);
    push_constant(next_rip());
    jump_to(target);
}

// ---- signals ----

// Leaves in front of the current instruction if something asks for it, so that no loop runs for ever.
void BlockCompiler::poll(std::uint64_t target) {
    if (target <= rip()) {
        poll_now();
    }
}

void BlockCompiler::poll_now() {
    Label nothing;
    a.mov(a.ecx, a.state32(layout.pending_signals));
    a.pext(a.ecx, a.ecx, a.state32(layout.wanted_signals));
    a.jrcxz(nothing);
    leave_in_front();
    a.L(nothing);
}

void BlockCompiler::leave_in_front() {
    Link& link = make_link(rip());
    const auto out = std::make_shared<Label>();
    a.jmp(*out, Assembler::T_NEAR);
    later([this, &link, out] {
        a.L(*out);
        a.mov(a.r14, reinterpret_cast<std::uintptr_t>(&link));
        a.jmp(stubs_.exit_link, Assembler::T_NEAR);
    });
}

// ---- to addresses that are found out ----

// From the linear address in rCX to its code in R15, or to `miss`.
void BlockCompiler::find_target(const Label& miss) {
    Label hit;
    a.pext(a.r14, a.rcx, a.state(layout.jump_mask));
    a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + layout.jump_tags[native_.user]]);
    a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
    a.jrcxz(hit);
    a.jmp(miss, Assembler::T_NEAR);
    a.L(hit);
    a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + layout.jump_targets[native_.user]]);
}

void BlockCompiler::return_from(unsigned release) {
    poll_now();
    look_up(stack(0), 8, Access::read);
    a.mov(a.rcx, a.qword[a.r12 + a.r14]);
    find_target(slow_path());
    a.lea(a.r12, a.ptr[a.r12 + static_cast<int>(8 + release)]);
    a.jmp(a.r15);
    ended_ = true;
}

bool BlockCompiler::near_target(const Decoded& decoded) {
    const ZydisDecodedOperand& operand = decoded.operands[0];
    return operand.size == 64 &&
           (operand.type == ZYDIS_OPERAND_TYPE_REGISTER ||
            (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && addressable(decoded.info, operand)));
}

void BlockCompiler::indirect(const Decoded& decoded, bool call) {
    poll_now();
    const ZydisDecodedOperand& operand = decoded.operands[0];
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        const EffectiveAddress address = address_of(operand, next_rip());
        look_up(address, 8, Access::read);
        a.mov(a.rcx, a.qword[host_address(address)]);
    } else {
        a.mov(a.rcx, a.guest(static_cast<unsigned>(ZydisRegisterGetId(operand.reg.value)), a.rcx));
    }
    find_target(slow_path());
    if (call) {
        a.mov(a.state(layout.target), a.r15);
        push_constant(next_rip());
        a.jmp(a.state(layout.target));
    } else {
        a.jmp(a.r15);
    }
    ended_ = true;
}

} // namespace strata::cpu::translator
