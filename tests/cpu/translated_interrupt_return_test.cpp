// IRETQ in translated code: the translator must leave what the interpreter leaves.
#include "translated_kernel.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using namespace Xbyak::util; // NOLINT: the registers' names

namespace flag = x86::flag;

constexpr unsigned kernel_code = 0x08, kernel_stack = 0x10, user_stack = 0x1B, user_code = 0x23; // TestCpu's
constexpr std::uint64_t user_code_descriptor = TestCpu::gdt_at + 0x20,
                        user_stack_descriptor = TestCpu::gdt_at + 0x18;
constexpr unsigned rounds = 30;

// To where rCX says, with R11 as flags.
void return_to(CodeGenerator& c, unsigned code, unsigned stack) {
    c.mov(r8, rsp);
    c.push(stack);
    c.push(r8);
    c.push(r11);
    c.push(code);
    c.push(rcx);
    c.db(0x48), c.db(0xCF);
}

class TranslatedInterruptReturn : public TranslatedRun {
protected:
    // A program calls the kernel `rounds` times, which returns by IRETQ with RFLAGS changed by `changed`, and
    // does `between` first.
    void return_to_program(
        std::uint64_t changed, const std::function<void(CodeGenerator&)>& between = [](CodeGenerator&) {}) {
        prepare_ = [=](TestCpu& cpu) {
            cpu.cpu->system.efer |= x86::efer::sce;
            cpu.cpu->system.star = 0x0023'0008'0000'0000;
            cpu.cpu->system.lstar = kernel_at;
            cpu.cpu->system.fmask = ~flag::fixed & 0x3F'FFFF;
            CodeGenerator kernel;
            Xbyak::Label out;
            note_segments_and_flags(kernel);
            between(kernel);
            kernel.test(r15, r15);
            kernel.jnz(out);
            kernel.xor_(r11, static_cast<std::uint32_t>(changed));
            return_to(kernel, user_code, user_stack);
            kernel.L(out);
            kernel.hlt();
            write(cpu, kernel_at, kernel);
            CodeGenerator program;
            Xbyak::Label again;
            program.L(again);
            program.add(rbx, rdx);
            program.syscall();
            program.adc(rdx, 0x1234567);
            program.seto(sil);
            note_segments_and_flags(program);
            program.dec(r13);
            program.jnz(again);
            program.inc(r15);
            program.syscall();
            write(cpu, program_at, program);
        };
        (*this)[x86::r13] = rounds;
        (*this)[x86::r15] = 0;
        run([](CodeGenerator& c) {
            c.mov(ecx, program_at);
            c.mov(r11d, flag::if_ | flag::fixed);
            return_to(c, user_code, user_stack);
        });
    }
};

TEST_F(TranslatedInterruptReturn, ToPrograms) {
    for (const std::uint64_t changed : {std::uint64_t{0}, flag::of | flag::cf, flag::arithmetic, flag::rf}) {
        return_to_program(changed);
        EXPECT_LE(counts_["iretq"], 3U); // that takes the kernel's data segments away, and learns
    }
}

// What is not usual is the interpreter's.
TEST_F(TranslatedInterruptReturn, WithOtherFlags) {
    for (const std::uint64_t changed :
         {flag::if_, flag::df, flag::ac, flag::nt, flag::id, flag::iopl, flag::fixed, flag::vif}) {
        return_to_program(changed);
    }
}

TEST_F(TranslatedInterruptReturn, WithinTheKernel) {
    for (const unsigned stack : {kernel_stack, 0U}) {
        (*this)[x86::r13] = rounds;
        (*this)[x86::r11] = flag::fixed | flag::cf;
        run([stack](CodeGenerator& c) {
            Xbyak::Label again, behind;
            c.L(again);
            c.lea(rcx, ptr[rip + behind]);
            c.xor_(r11, static_cast<std::uint32_t>(flag::of | flag::zf));
            return_to(c, kernel_code, stack);
            c.L(behind);
            c.adc(rdx, 0x1234567);
            note_segments_and_flags(c);
            c.dec(r13);
            c.jnz(again);
        });
        EXPECT_LE(counts_["iretq"], 1U);
    }
}

// The kernel changes what a selector stands for, once it is known: here it is not there any more, or may not
// be loaded, or is another.
TEST_F(TranslatedInterruptReturn, OtherDescriptors) {
    constexpr std::uint64_t present = std::uint64_t{1} << 47, privilege = std::uint64_t{1} << 45,
                            available = std::uint64_t{1} << 52;
    for (const std::uint64_t at : {user_code_descriptor, user_stack_descriptor}) {
        for (const std::uint64_t change : {present, privilege, available}) {
            return_to_program(0, [=](CodeGenerator& c) {
                Xbyak::Label known;
                c.cmp(r13, rounds / 2);
                c.jne(known);
                c.mov(rax, change);
                c.mov(r14d, static_cast<std::uint32_t>(at));
                c.xor_(ptr[r14], rax);
                c.L(known);
            });
        }
    }
}

// The table is elsewhere, or shorter.
TEST_F(TranslatedInterruptReturn, OtherTables) {
    constexpr std::uint64_t elsewhere = TestCpu::data_at + 0x1'8000, pointer = TestCpu::data_at + 0x1'9000;
    for (const bool shorter : {false, true}) {
        return_to_program(0, [=](CodeGenerator& c) {
            Xbyak::Label known;
            c.cmp(r13, rounds / 2);
            c.jne(known);
            c.mov(r8d, TestCpu::gdt_at);
            c.mov(r14d, elsewhere);
            for (unsigned entry = 0; entry < 8; ++entry) {
                c.mov(rax, ptr[r8 + entry * 8]);
                c.mov(ptr[r14 + entry * 8], rax);
            }
            c.mov(eax, pointer);
            c.mov(word[rax], shorter ? 0x1F : 0x3F);
            c.mov(ptr[rax + 2], shorter ? r8 : r14);
            c.db(0x0F), c.db(0x01), c.db(0x10); // lgdt [rax]
            c.L(known);
        });
    }
}

// Level 3 must not keep the kernel's data segments: they are looked at each time.
TEST_F(TranslatedInterruptReturn, DataSegments) {
    return_to_program(0, [](CodeGenerator& c) {
        Xbyak::Label known;
        c.test(r13, 3);
        c.jne(known);
        c.mov(eax, kernel_stack);
        c.db(0x8E), c.db(0xD8); // mov ds, eax
        c.L(known);
    });
    return_to_program(0, [](CodeGenerator& c) {
        c.mov(eax, user_stack);
        c.db(0x8E), c.db(0xD8);
    });
}

TEST_F(TranslatedInterruptReturn, ToNoAddress) {
    for (const std::uint64_t target : {std::uint64_t{1} << 47, std::uint64_t{1} << 63}) {
        return_to_program(0, [=](CodeGenerator& c) {
            Xbyak::Label known;
            c.cmp(r13, rounds / 2);
            c.jne(known);
            c.mov(rcx, target);
            c.L(known);
        });
    }
}

// A frame that lies in two pages.
TEST_F(TranslatedInterruptReturn, FrameAcrossPages) {
    return_to_program(0, [](CodeGenerator& c) { c.mov(esp, TestCpu::data_at + 0x1'0010); });
    return_to_program(0, [](CodeGenerator& c) { c.mov(esp, TestCpu::data_at + 0x1'0028); });
    return_to_program(0, [](CodeGenerator& c) { c.mov(esp, TestCpu::data_at + 0x1'0029); });
}

} // namespace
} // namespace strata::cpu::translator
