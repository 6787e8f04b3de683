#include "cpu/translator/stubs.hpp"

namespace strata::cpu::translator {

namespace {

using Xbyak::Label;
using Xbyak::Reg64;
using Xbyak::Ymm;

constexpr std::array<int, 6> callee_saved{3, 5, 12, 13, 14, 15}; // rBX, rBP, R12 to R15

class StubEmitter {
public:
    StubEmitter(Assembler& assembler, InterpretFunction interpret)
        : a(assembler), layout(assembler.layout()), interpret_(interpret) {}

    Stubs emit() {
        Stubs stubs;
        stubs.enter = begin();
        emit_enter();
        stubs.leave = begin();
        a.L(leave_);
        emit_leave();
        stubs.exit_link = begin();
        a.mov(a.state(layout.exit_link), a.r14);
        a.jmp(leave_, Assembler::T_NEAR);
        stubs.interpret = begin();
        emit_interpret(false);
        stubs.interpret_with_vectors = begin();
        emit_interpret(true);
        stubs.load_vectors = begin();
        emit_load_vectors();
        return stubs;
    }

private:
    std::uint8_t* begin() {
        a.align(16);
        return a.here();
    }

    void load_registers() {
        for (unsigned guest = 0; guest < host_registers.size(); ++guest) {
            if (const auto host = host_register(guest); host && *host != 0) {
                a.mov(Reg64(static_cast<int>(*host)), a.state(layout.reg(guest)));
            }
        }
        a.mov(a.eax, a.state32(layout.flags));
        a.add(a.al, 127); // OF
        a.sahf();
        a.mov(a.rax, a.state(layout.reg(x86::rax)));
    }

    void save_registers() {
        for (unsigned guest = 0; guest < host_registers.size(); ++guest) {
            if (const auto host = host_register(guest)) {
                a.mov(a.state(layout.reg(guest)), Reg64(static_cast<int>(*host)));
            }
        }
        a.lahf();
        a.seto(a.al);
        a.mov(a.state32(layout.flags), a.eax);
    }

    void save_vectors() {
        Label saved;
        a.cmp(a.state32(layout.vectors_in_memory), 0);
        a.jne(saved, Assembler::T_NEAR);
        for (unsigned i = 0; i < 16; ++i) {
            a.vmovups(a.state(layout.vector(i)), Ymm(static_cast<int>(i)));
        }
        a.vzeroupper();
        a.mov(a.state32(layout.vectors_in_memory), 1);
        a.L(saved);
    }

    // Changes no flags.
    void load_vector_registers() {
        for (unsigned i = 0; i < 16; ++i) {
            a.vmovups(Ymm(static_cast<int>(i)), a.state(layout.vector(i)));
        }
        a.mov(a.state32(layout.vectors_in_memory), 0);
    }

    void emit_enter() {
        for (const int reg : callee_saved) {
            a.push(Reg64(reg));
        }
        a.sub(a.rsp, 8); // so that calls find the stack aligned
        a.mov(a.ptr[a.rdi + layout.host_rsp], a.rsp);
        a.mov(a.rsp, a.rdi);
        load_registers();
        a.jmp(a.state(layout.entry));
    }

    void emit_leave() {
        save_registers();
        a.L(saved_);
        save_vectors();
        a.mov(a.rsp, a.state(layout.host_rsp));
        a.add(a.rsp, 8);
        for (auto reg = callee_saved.rbegin(); reg != callee_saved.rend(); ++reg) {
            a.pop(Reg64(*reg));
        }
        a.ret();
    }

    void emit_interpret(bool with_vectors) {
        Label left;
        a.pop(a.state(layout.resume)); // rSP counts as it is after the pop
        save_registers();
        save_vectors();
        a.mov(a.rbx, a.rsp);
        a.mov(a.rdi, a.rsp);
        a.mov(a.rsi, a.r14);
        a.mov(a.rsp, a.state(layout.host_rsp));
        a.mov(a.rax, reinterpret_cast<std::uintptr_t>(interpret_));
        a.call(a.rax);
        a.mov(a.rsp, a.rbx);
        a.test(a.eax, a.eax);
        a.jne(left, Assembler::T_NEAR);
        if (with_vectors) {
            load_vector_registers();
        }
        load_registers();
        a.jmp(a.state(layout.resume));
        a.L(left);
        a.mov(a.state(layout.exit_link), 0);
        a.jmp(saved_, Assembler::T_NEAR);
    }

    void emit_load_vectors() {
        Label usable;
        a.mov(a.ecx, a.state32(layout.vectors_unusable + 8)); // below the return address
        a.jrcxz(usable);
        a.lea(a.rsp, a.ptr[a.rsp + 8]);
        a.mov(a.rcx, a.ptr[a.r14 + offsetof(Site, next_rip)]);
        a.mov(a.r14, a.ptr[a.r14 + offsetof(Site, insn)]);
        a.movzx(a.r14d, a.byte[a.r14 + offsetof(interpreter::Insn, length)]);
        a.not_(a.r14);
        a.lea(a.rcx, a.ptr[a.rcx + a.r14 + 1]);
        a.mov(a.state(layout.rip), a.rcx);
        a.mov(a.state(layout.exit_link), 0);
        a.jmp(leave_, Assembler::T_NEAR);
        a.L(usable);
        a.pop(a.r14);
        load_vector_registers();
        a.jmp(a.r14);
    }

    Assembler& a;
    const StateLayout& layout;
    InterpretFunction interpret_;
    Label leave_, saved_;
};

} // namespace

Stubs emit_stubs(Assembler& assembler, InterpretFunction interpret) {
    return StubEmitter(assembler, interpret).emit();
}

} // namespace strata::cpu::translator
