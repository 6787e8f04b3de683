// 32-bit code: its addresses and its stack pointer go round at 4 GiB, and its words have four bytes. The
// assembler's 64-bit address registers are 32-bit code's by the same bytes.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using Xbyak::Label;
using namespace Xbyak::util; // NOLINT: the registers' names

class TranslatedNarrow : public TranslatedRun {
protected:
    void SetUp() override {
        TranslatedRun::SetUp();
        for (std::uint64_t& value : registers_) {
            value = static_cast<std::uint32_t>(value);
        }
    }

    void run(const std::function<void(CodeGenerator&)>& emit) {
        TranslatedRun::run(emit, testing::Mode::protected32);
    }
};

// Arguments on the stack, pushed from registers and memory; frames; a stack that is cleaned up behind.
TEST_F(TranslatedNarrow, CallsItself) {
    (*this)[x86::rax] = 11;
    run([](CodeGenerator& c) {
        Label fibonacci, small, out;
        c.push(rax);
        c.call(fibonacci);
        c.add(esp, 4);
        c.jmp(out);
        c.L(fibonacci);
        c.push(rbp);
        c.mov(ebp, esp);
        c.push(rbx);
        c.cmp(dword[rbp + 8], 2);
        c.jb(small);
        c.dec(dword[rbp + 8]);
        c.push(qword[rbp + 8]); // push dword [ebp + 8]
        c.call(fibonacci);
        c.pop(rcx);
        c.mov(ebx, eax);
        c.sub(ecx, 1);
        c.push(rcx);
        c.call(fibonacci);
        c.add(esp, 4);
        c.add(eax, ebx);
        c.pop(rbx);
        c.leave();
        c.ret();
        c.L(small);
        c.mov(eax, dword[rbp + 8]);
        c.pop(rbx);
        c.pop(rbp);
        c.ret(0);
        c.L(out);
    });
}

// Base, index and displacement add up beyond 4 GiB, to below 0, and to either side of it in turn.
TEST_F(TranslatedNarrow, AddressesGoRound) {
    for (const std::uint32_t base : {0xFFFF'FFF0U, 0xFFFF'FFFFU, 0x10U, 0x8000'0000U}) {
        (*this)[x86::rbx] = base;
        (*this)[x86::rsi] = 0x2'1000U - base;
        (*this)[x86::rdi] = (0x2'2000U - base) / 4;
        (*this)[x86::rcx] = 40;
        run([](CodeGenerator& c) {
            Label again;
            c.L(again);
            c.mov(eax, dword[rbx + rsi]);
            c.add(dword[rbx + rsi + 8], eax);
            c.xor_(eax, dword[rbx + rdi * 4 - 4]);
            c.mov(dword[rbx + rdi * 4], eax);
            c.mov(edx, dword[rbx + 0x12]); // a device's, or the first page
            c.mov(edx, dword[rbx - 0x11]);
            c.add(ebx, 4);
            c.dec(ecx);
            c.jnz(again);
        });
    }
}

// What was checked with one register does not hold for another that has gone round since.
TEST_F(TranslatedNarrow, WhatWasCheckedBeforeItWentRound) {
    for (const std::uint32_t base : {0xFFFF'FFF8U, 0xFFFF'F000U, 0x2'0000U}) {
        (*this)[x86::rbx] = base;
        (*this)[x86::rcx] = 6;
        run([](CodeGenerator& c) {
            Label again;
            c.L(again);
            c.lea(esi, ptr[rbx + 0x10]);
            c.mov(eax, dword[rsi]);
            c.mov(edx, dword[rbx + 0x10]);
            c.mov(edi, ebx);
            c.add(edi, 0x20);
            c.add(eax, dword[rdi]);
            c.add(edx, dword[rdi - 0x20]);
            c.add(ebx, 4);
            c.dec(ecx);
            c.jnz(again);
        });
    }
}

TEST_F(TranslatedNarrow, StackPointersGoRound) {
    own_stack_ = true;
    for (const std::uint32_t stack : {0U, 4U, 0x10U, 0xFFFF'FFF8U, 0x2'0004U}) {
        (*this)[x86::rsp] = stack;
        (*this)[x86::rcx] = 5;
        run([](CodeGenerator& c) {
            Label again;
            c.L(again);
            c.push(rax);
            c.push(rdx);
            c.mov(ebp, esp);
            c.mov(edi, dword[rbp]);
            c.pop(rbx);
            c.pop(rsi);
            c.pop(rax);
            c.mov(edx, esp);
            c.dec(ecx);
            c.jnz(again);
        });
    }
}

} // namespace
} // namespace strata::cpu::translator
