// Instructions whose bytes are in two pages: translated like any other, and right when either page changes.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using Xbyak::Label;
using namespace Xbyak::util; // NOLINT: the registers' names

constexpr std::uint64_t border = 0x40'1000; // between two pages

class TranslatedCrossing : public TranslatedRun {
protected:
    // Code that begins `before` bytes in front of the border, and is jumped to.
    void run_across(unsigned before, const std::function<void(CodeGenerator&)>& emit) {
        prepare_ = [=](TestCpu& cpu) {
            CodeGenerator code;
            emit(code);
            code.hlt();
            cpu.write_bytes(border - before, std::span(code.getCode(), code.getSize()));
        };
        run([before](CodeGenerator& c) {
            c.mov(eax, static_cast<std::uint32_t>(border) - before);
            c.jmp(rax);
        });
    }
};

// Every instruction of the loop comes to lie there, with each of its bytes.
TEST_F(TranslatedCrossing, AllKinds) {
    const auto loop = [](CodeGenerator& c) {
        Label again, even, function, behind;
        c.L(again);
        c.imul(rax, rax, 0x5851F42D);
        c.add(rbx, ptr[rbp + 0x123]);
        c.mov(dword[rbp + rcx * 4 + 0x200], 0x12345678);
        c.mov(rdx, 0x1122334455667788);
        c.movups(xmm1, ptr[rbp + 0x400]);
        c.paddq(xmm1, xmm1);
        c.movups(ptr[rbp + 0x400], xmm1);
        c.test(eax, 0x100);
        c.jz(even, CodeGenerator::T_NEAR);
        c.adc(rsi, rdx);
        c.L(even);
        c.call(function);
        c.push(rsi);
        c.cpuid(); // the interpreter's
        c.pop(rcx);
        c.add(rdi, rcx);
        c.dec(r8d);
        c.jnz(again, CodeGenerator::T_NEAR);
        c.jmp(behind, CodeGenerator::T_NEAR);
        c.L(function);
        c.lea(rsi, ptr[rsi + rsi * 2 + 0x1234567]);
        c.ret();
        c.L(behind);
    };
    CodeGenerator measure;
    loop(measure);
    (*this)[x86::rbp] = TestCpu::data_at;
    (*this)[x86::r8] = 12;
    for (unsigned before = 1; before < measure.getSize(); ++before) {
        (*this)[x86::rcx] = 5;
        run_across(before, loop);
        EXPECT_LE(counts_["interpreted"], 20U)
            << before; // CPUID, and what finds its memory for the first time
    }
}

// The loop writes over a constant of its own, which begins in one page and ends in the other.
TEST_F(TranslatedCrossing, Rewritten) {
    for (unsigned before = 2; before <= 6; ++before) {
        for (const std::uint64_t at : {border - 1, border, border + 1}) {
            (*this)[x86::r8] = 60;
            (*this)[x86::rdi] = at;
            run_across(before, [](CodeGenerator& c) {
                Label again, same;
                c.L(again);
                c.mov(r9d, 0x11223344); // of six bytes
                c.lea(rbx, ptr[rbx + rbx * 4]);
                c.add(rbx, r9);
                c.test(r8d, 7);
                c.jnz(same);
                c.xor_(byte[rdi], 0x10); // with it MOV is another: of another register, or another constant
                c.L(same);
                c.dec(r8d);
                c.jnz(again);
            });
        }
    }
}

// The page in which it ends is exchanged, now and then for none.
TEST_F(TranslatedCrossing, MappedElsewhere) {
    constexpr std::uint64_t linear = 0x60'0000, page_table = 0x1'8000, pages = 0x50'0000;
    constexpr std::uint64_t start = linear + memory::page_size - 3;
    for (const bool faults : {false, true}) {
        prepare_ = [](TestCpu& cpu) {
            cpu.write<std::uint64_t>(TestCpu::page_tables_at + 0x2000 + 3 * 8, page_table | 7);
            cpu.write<std::uint64_t>(page_table, pages | 7);
            cpu.write<std::uint64_t>(page_table + 8, (pages + memory::page_size) | 7);
            for (unsigned i = 0; i < 2; ++i) {
                CodeGenerator code;
                code.mov(r9d, 0x11223344 << i);
                code.lea(rbx, ptr[rbx + r9 * 2]);
                code.ret();
                const std::span bytes(code.getCode(), code.getSize());
                cpu.write_bytes(pages + memory::page_size - 3, bytes.first(3));
                cpu.write_bytes(pages + (i + 1) * memory::page_size, bytes.subspan(3));
            }
        };
        (*this)[x86::rcx] = 60;
        run([faults](CodeGenerator& c) {
            Label again, same;
            c.mov(edi, page_table + 8);
            c.mov(esi, start);
            c.L(again);
            c.call(rsi);
            c.test(cl, 7);
            c.jnz(same);
            c.xor_(dword[rdi],
                   static_cast<std::uint32_t>(3 * memory::page_size)); // the second, the third page
            if (faults) {
                Label present;
                c.cmp(ecx, 20);
                c.ja(present);
                c.and_(dword[rdi], ~1U);
                c.L(present);
            }
            c.lea(rdx, ptr[rsi + 3]);
            c.db(0x0F), c.db(0x01), c.db(0x3A); // invlpg [rdx]
            c.L(same);
            c.dec(rcx);
            c.jnz(again);
        });
    }
}

} // namespace
} // namespace strata::cpu::translator
