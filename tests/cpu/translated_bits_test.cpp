// Bits of strings in memory, by number, and exchanges of pairs: the translator must leave what the
// interpreter leaves.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using namespace Xbyak::util; // NOLINT: the registers' names

class TranslatedBits : public TranslatedRun {
protected:
    // But for the first accesses to pages.
    void expect_few_interpreted() {
        for (const char* name : {"bt", "bts", "btr", "btc", "cmpxchg8b", "cmpxchg16b"}) {
            EXPECT_LE(counts_[name], 4U) << name;
        }
    }
};

// Each of them by each width, locked or not, by numbers on either side of the string's first element, in
// registers that live in memory or not.
TEST_F(TranslatedBits, AreChangedByNumber) {
    constexpr std::uint64_t middle = 0x10'0800;
    for (const std::uint64_t number :
         {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{64}, std::uint64_t{0x7FFF}, ~std::uint64_t{0},
          ~std::uint64_t{0x7FFF}, ~std::uint64_t{0xF'FFFF}, std::uint64_t{0x123'4567'8005'5555}}) {
        (*this)[x86::rbx] = middle;
        (*this)[x86::r12] = middle + 5;
        (*this)[x86::r13] = (*this)[x86::rdx] = number;
        (*this)[x86::rcx] = 0x100;
        run([number](CodeGenerator& c) {
            const bool far = number >> 32 != 0 && ~number >> 32 != 0; // the wide forms would reach nowhere
            for (const auto& bit : {rdx, r13}) {
                const auto all = [&](const auto& memory, const auto& by) {
                    c.bt(memory, by);
                    c.adc(rax, rax);
                    c.bts(memory, by);
                    c.adc(rax, rax);
                    c.lock();
                    c.btc(memory, by);
                    c.adc(rax, rax);
                    c.btr(memory, by);
                    c.pushfq();
                    c.pop(rsi);
                    c.and_(esi, 1);
                    c.lea(rax, ptr[rax * 2 + rsi]);
                    c.lock();
                    c.bts(memory, by);
                    c.btc(memory, by);
                    c.seto(dil);
                };
                all(word[rbx], bit.cvt16());
                all(word[r12 + rcx * 2 - 0x10], bit.cvt16());
                all(dword[rbx + 2], bit.cvt32());
                all(dword[r12 + r13 * 0 + 3], bit.cvt32());
                if (!far) {
                    all(qword[rbx + 4], bit);
                    all(qword[r12 + rcx * 4], bit);
                }
                c.lea(rax, ptr[rax + rdi]);
            }
        });
        if (number < 1000) {
            expect_few_interpreted();
        }
    }
}

// A bitmap that is filled, from one page to the next and over the end of memory.
TEST_F(TranslatedBits, GoThroughPages) {
    for (const unsigned start : {0x2'0FF0U, 0x7F'FFC0U, 0x3FFF'FF40U}) {
        (*this)[x86::rbx] = start;
        (*this)[x86::rcx] = 0;
        (*this)[x86::rbp] = 0;
        run([](CodeGenerator& c) {
            Xbyak::Label again;
            c.L(again);
            c.bts(ptr[rbx], rcx);
            c.adc(rbp, 1);
            c.bt(dword[rbx + 4], ecx);
            c.adc(rbp, 0);
            c.lock();
            c.btc(ptr[rbx + 8], rcx);
            c.adc(rbp, 3);
            c.add(rcx, 7);
            c.cmp(rcx, 1000);
            c.jb(again);
        });
    }
}

TEST_F(TranslatedBits, AreFoundBySegment) {
    prepare_ = [](TestCpu& cpu) {
        cpu.cpu->system.segments[x86::gs].base = 0x10'0000;
        cpu.cpu->system.segments[x86::fs].base = 0x20'0000;
    };
    (*this)[x86::rax] = 0x1234;
    (*this)[x86::rbx] = 0x5678;
    (*this)[x86::r14] = 0xFEDC;
    (*this)[x86::r15] = 0x3210;
    run([](CodeGenerator& c) {
        for (const auto& bit : {rax, r15}) {
            c.putSeg(gs);
            c.bts(ptr[rbx], bit);
            c.rcl(rdx, 1);
            c.putSeg(fs);
            c.lock();
            c.btc(dword[r14 + r15 * 4 + 0x20], bit.cvt32());
            c.rcl(rdx, 1);
            c.putSeg(gs);
            c.bt(word[r14 + rbx], bit.cvt16());
            c.rcl(rdx, 1);
        }
    });
    expect_few_interpreted();
}

// 32-bit addresses go round, with the bit's number too.
TEST_F(TranslatedBits, GoRoundInNarrowCode) {
    for (const std::uint32_t base : {0x2'0000U, 0xFFFF'FFF0U, 0x8000'0000U}) {
        (*this)[x86::rbx] = base;
        (*this)[x86::rcx] = (0x10'0000U - base) / 4 * 32 + 5; // modulo 2^32: wherever that is
        (*this)[x86::rsi] = 0x10'0000U - base;
        (*this)[x86::rdi] = 0xFFFF'FF85U;
        run(
            [](CodeGenerator& c) {
                c.bts(dword[rbx], ecx);
                c.adc(eax, eax);
                c.btc(dword[rbx + rsi], edi);
                c.adc(eax, eax);
                c.lock();
                c.btr(dword[rbx + rsi + 0x40], edi);
                c.adc(eax, eax);
                c.bt(word[rbx + rsi], di);
                c.adc(eax, eax);
            },
            testing::Mode::protected32);
    }
}

// In both outcomes, aligned or not, with what is implied in any place; ZF alone changes.
TEST_F(TranslatedBits, PairsAreExchanged) {
    for (const unsigned shift : {0U, 8U, 4U, 0xFF8U}) {
        (*this)[x86::rdi] = (*this)[x86::r14] = 0x10'0000 + shift;
        (*this)[x86::rbp] = 6;
        run([](CodeGenerator& c) {
            Xbyak::Label again, differ;
            c.L(again);
            c.bt(rbp, 0);
            c.jc(differ);
            c.mov(rax, ptr[rdi]);
            c.mov(rdx, ptr[rdi + 8]);
            c.L(differ);
            c.add(r9, r9);
            c.lock();
            c.cmpxchg16b(ptr[rdi]);
            c.pushfq();
            c.pop(r10);
            c.lea(r11, ptr[r10 + r11 * 2]);
            c.stc();
            c.cmpxchg16b(ptr[r14]);
            c.adc(r11, rax);
            c.cmpxchg8b(ptr[rdi + 3]);
            c.lock();
            c.cmpxchg8b(ptr[r14]);
            c.setz(r8b);
            c.inc(rcx);
            c.dec(rbp);
            c.jnz(again);
        });
        if (shift % 16 == 0) {
            expect_few_interpreted();
        }
    }
}

TEST_F(TranslatedBits, PairsAreExchangedInNarrowCode) {
    for (std::uint64_t& value : registers_) {
        value = static_cast<std::uint32_t>(value);
    }
    (*this)[x86::rdi] = 0x10'0FFA;
    (*this)[x86::rbp] = 6;
    run(
        [](CodeGenerator& c) {
            Xbyak::Label again;
            c.L(again);
            c.mov(eax, dword[rdi]);
            c.mov(edx, dword[rdi + 4]);
            c.lock();
            c.cmpxchg8b(ptr[rdi]);
            c.setz(al);
            c.cmpxchg8b(ptr[rdi + 1]);
            c.setz(ah);
            c.add(ecx, eax);
            c.add(edi, 1);
            c.sub(ebp, 1);
            c.jnz(again);
        },
        testing::Mode::protected32);
}

} // namespace
} // namespace strata::cpu::translator
