// Loops and long traces: the translator, which puts them together, must leave what the interpreter leaves.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using namespace Xbyak::util; // NOLINT: the registers' names

// From where pages end, where RAM ends (and devices begin), and where nothing is mapped.
constexpr std::array starts{0x2'0FF4U, 0x7F'FFC1U, 0x3FFF'FF40U};
constexpr std::array counts{1U, 8U, 27U};

TEST_F(TranslatedRun, SumsWithItsRegistersInMemory) {
    for (const unsigned start : starts) {
        for (const unsigned count : counts) {
            (*this)[x86::r12] = start;
            (*this)[x86::r13] = count;
            run([](CodeGenerator& c) {
                Xbyak::Label again;
                c.xor_(r14d, r14d);
                c.L(again);
                c.add(r14, ptr[r12]);
                c.adc(r15d, dword[r12 + 4]);
                c.add(r12, 8);
                c.dec(r13);
                c.jnz(again);
            });
        }
    }
}

TEST_F(TranslatedRun, CopiesWhereStoresFault) {
    for (const unsigned start : starts) {
        for (const unsigned count : counts) {
            (*this)[x86::rsi] = 0x3'0FF0;
            (*this)[x86::rdi] = start;
            (*this)[x86::rcx] = count;
            (*this)[x86::rax] = 0;
            run([](CodeGenerator& c) {
                Xbyak::Label again;
                c.L(again);
                c.mov(edx, dword[rsi + rax * 4]);
                c.mov(dword[rdi + rax * 4], edx);
                c.inc(rax);
                c.cmp(rax, rcx);
                c.jb(again);
            });
        }
    }
}

// CF and OF go around the loop; LEA and JRCXZ leave them alone.
TEST_F(TranslatedRun, AddsLongNumbers) {
    for (const unsigned count : counts) {
        (*this)[x86::rsi] = 0x2'0FC0;
        (*this)[x86::rdi] = 0x3'0F08;
        (*this)[x86::rcx] = count;
        run([](CodeGenerator& c) {
            Xbyak::Label again, out;
            c.L(again);
            c.mov(rax, ptr[rsi]);
            c.adc(ptr[rdi], rax);
            c.lea(rsi, ptr[rsi + 8]);
            c.lea(rdi, ptr[rdi + 8]);
            c.lea(rcx, ptr[rcx - 1]);
            c.jrcxz(out);
            c.jmp(again);
            c.L(out);
            c.setc(bl);
            c.seto(dl);
        });
    }
}

TEST_F(TranslatedRun, WorksOnVectorsInTwoPlaces) {
    for (const unsigned start : starts) {
        (*this)[x86::rax] = start;
        (*this)[x86::rdx] = 0x10'0000 - start; // base and index
        (*this)[x86::r13] = start + 32 * 16;
        run([](CodeGenerator& c) {
            Xbyak::Label again;
            c.L(again);
            c.movdqu(xmm1, ptr[rax]);
            c.paddd(xmm1, ptr[rdx + rax]);
            c.movups(ptr[rdx + rax], xmm1);
            c.add(rax, 16);
            c.cmp(rax, r13);
            c.jne(again);
        });
    }
}

// A shift by CL, bytes that are not AL to DL, a multiplication, a division that traps in the end.
TEST_F(TranslatedRun, DividesUntilItTraps) {
    for (const unsigned count : counts) {
        (*this)[x86::rcx] = count;
        (*this)[x86::rbx] = 0x2'0200;
        run([](CodeGenerator& c) {
            Xbyak::Label again;
            c.L(again);
            c.mov(eax, dword[rbx + rcx * 4]);
            c.shl(r12d, cl);
            c.mov(r13b, ah);
            c.mov(byte[rbx + rcx], ch);
            c.mul(r12d);
            c.xor_(edx, edx);
            c.lea(r14d, ptr[rcx - 1]);
            c.div(r14d);
            c.add(r15, rax);
            c.movzx(r13d, r13b);
            c.sub(rcx, 1);
            c.jge(again);
        });
    }
}

// Code in many pages, each piece a trace of its own, more than there is memory for; around it twice.
TEST_F(TranslatedRun, OldTracesMakeRoom) {
    constexpr std::uint64_t pages = 900, pieces = 8, first = 0x10'0000, stride = 0x100;
    prepare_ = [](TestCpu& cpu) {
        for (std::uint64_t i = 0; i < pages * pieces; ++i) {
            const std::uint64_t at = first + i % pages * memory::page_size + i / pages * stride;
            const std::uint64_t next = i + 1;
            const std::uint64_t to = next == pages * pieces
                                         ? TestCpu::code_at + 0x80
                                         : first + next % pages * memory::page_size + next / pages * stride;
            CodeGenerator piece;
            piece.add(rax, static_cast<std::uint32_t>(i));
            piece.mov(ptr[rbx], rax);
            piece.rol(rax, 3);
            piece.db(0xE9); // jmp
            piece.dd(static_cast<std::uint32_t>(to - (at + piece.getSize() + 4)));
            cpu.write_bytes(at, std::span(piece.getCode(), piece.getSize()));
        }
    };
    (*this)[x86::rbx] = 0x2'0200;
    (*this)[x86::rcx] = 2;
    run([](CodeGenerator& c) {
        Xbyak::Label again, out;
        c.L(again);
        c.mov(rdx, first);
        c.jmp(rdx);
        c.align(0x80);
        while (c.getSize() < 0x80) {
            c.nop();
        }
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_GT(counts_["traces-evicted"], 200U);
}

// The load's check borrows a flag, which the test that follows overwrites.
TEST_F(TranslatedRun, TestsOfVectorsClearTheOtherFlags) {
    using Emit = void (*)(CodeGenerator&);
    constexpr std::array<Emit, 5> tests{
        [](CodeGenerator& c) { c.ptest(xmm0, xmm2); }, [](CodeGenerator& c) { c.vptest(ymm0, ymm2); },
        [](CodeGenerator& c) { c.vtestps(xmm0, xmm2); }, [](CodeGenerator& c) { c.vtestpd(ymm0, ymm2); },
        [](CodeGenerator& c) { c.vucomisd(xmm0, xmm2); }};
    (*this)[x86::rbx] = 0x2'0200;
    for (const Emit test : tests) {
        run([test](CodeGenerator& c) {
            c.mov(eax, 0x7FFFFFFF);
            c.add(eax, 0x7FFFFFFF);  // OF
            c.cmovnc(rdx, ptr[rbx]); // so it can't be CF
            test(c);
            c.seto(r8b);
            c.setc(r9b);
            c.mov(eax, 0x80000000);
            c.add(eax, eax); // OF and CF
            c.cmovc(rdx, ptr[rbx + 0x3000]);
            test(c);
            c.mov(rdx, ptr[rbx + 0x5000]);
        });
    }
}

// Each round changes the constant that the next one adds.
TEST_F(TranslatedRun, RewritesItself) {
    (*this)[x86::rcx] = 20;
    run([](CodeGenerator& c) {
        Xbyak::Label again;
        c.lea(rbx, ptr[rip + again]);
        c.xor_(eax, eax);
        c.L(again);
        c.add(eax, 0x11223344);
        c.add(dword[rbx + 1], 3); // the constant
        c.dec(rcx);
        c.jnz(again);
    });
}

} // namespace
} // namespace strata::cpu::translator
