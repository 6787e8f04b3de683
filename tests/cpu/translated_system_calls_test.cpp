// SYSCALL, SYSRET and faults in translated code: the translator must leave what the interpreter leaves.
#include "cpu/x86/x87.hpp"
#include "translated_kernel.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using namespace Xbyak::util; // NOLINT: the registers' names

namespace flag = x86::flag;

constexpr std::uint64_t usual_mask = flag::arithmetic | flag::tf | flag::if_ | flag::df | flag::iopl |
                                     flag::nt | flag::rf | flag::ac | flag::id; // as Linux has it

void sysretq(CodeGenerator& c) {
    c.db(0x48);
    c.sysret();
}

class TranslatedSystemCalls : public TranslatedRun {
protected:
    using Code = std::function<void(CodeGenerator&)>;

    // A program calls the kernel thirty times. What the kernel finds goes into rDI and R9; it changes RFLAGS
    // by `changed` and returns.
    void call_kernel(std::uint64_t mask, std::uint32_t changed, const Code& in_kernel = {},
                     const Code& in_program = {}) {
        prepare_ = [=](TestCpu& cpu) {
            cpu.cpu->fp.fcw = x86::fcw::initial;
            cpu.cpu->system.efer |= x86::efer::sce;
            cpu.cpu->system.star = 0x0023'0008'0000'0000;
            cpu.cpu->system.lstar = kernel_at;
            cpu.cpu->system.fmask = mask;
            CodeGenerator kernel;
            Xbyak::Label out;
            note_segments_and_flags(kernel);
            if (in_kernel) {
                in_kernel(kernel);
            }
            kernel.add(r9, rcx);
            kernel.add(rdi, r11);
            kernel.test(r15, r15);
            kernel.jnz(out);
            kernel.xor_(r11, changed);
            sysretq(kernel);
            kernel.L(out);
            kernel.hlt();
            write(cpu, kernel_at, kernel);
            CodeGenerator program;
            Xbyak::Label again;
            program.L(again);
            program.add(rbx, rdx);
            if (in_program) {
                in_program(program);
            }
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
        (*this)[x86::r13] = 30;
        (*this)[x86::r15] = 0;
        run([](CodeGenerator& c) {
            c.mov(rcx, program_at);
            c.mov(r11, flag::if_ | flag::fixed);
            sysretq(c);
        });
    }
};

TEST_F(TranslatedSystemCalls, CallAndReturn) {
    for (const std::uint64_t changed : {std::uint64_t{0}, flag::of | flag::cf, flag::arithmetic}) {
        call_kernel(usual_mask, static_cast<std::uint32_t>(changed));
        EXPECT_EQ(counts_["syscall"], 0U);
        EXPECT_LE(counts_["sysret"], 1U); // the one that comes before all of them
    }
}

// Flags that SYSRET brings back or SYSCALL leaves, which are the interpreter's affair.
TEST_F(TranslatedSystemCalls, CallAndReturnWithOtherFlags) {
    for (const std::uint64_t changed : {flag::if_, flag::df, flag::ac, flag::nt, flag::id, flag::iopl}) {
        call_kernel(usual_mask, static_cast<std::uint32_t>(changed));
    }
    for (const std::uint64_t kept : {flag::cf, flag::of, flag::if_, flag::ac, flag::df}) {
        call_kernel(usual_mask & ~kept, static_cast<std::uint32_t>(flag::cf));
    }
}

// FCS and FDS are the selectors of the last x87 instruction's time, whoever asks.
TEST_F(TranslatedSystemCalls, TellsOfX87InstructionsBeforeThem) {
    const Code on_stack = [](CodeGenerator& c) {
        c.fld(qword[rsp]);
        c.fstp(qword[rsp]);
    };
    const Code tell = [](CodeGenerator& c) {
        c.fnstenv(ptr[rsp - 64]);
        c.add(r10d, dword[rsp - 64 + 16]); // FCS, FOP
        c.add(r10d, dword[rsp - 64 + 24]); // FDS
    };
    const auto mask = usual_mask;
    call_kernel(mask, 0, {}, on_stack);
    call_kernel(mask, 0, tell, on_stack);
    call_kernel(mask, 0, on_stack, tell);
    call_kernel(mask, 0, on_stack, {});
}

// To an address that is none, which faults in the kernel.
TEST_F(TranslatedSystemCalls, ReturnsNowhere) {
    prepare_ = [](TestCpu& cpu) {
        cpu.cpu->system.efer |= x86::efer::sce;
        cpu.cpu->system.star = 0x0023'0008'0000'0000;
        cpu.cpu->system.fmask = usual_mask;
    };
    (*this)[x86::rcx] = std::uint64_t{1} << 47;
    (*this)[x86::r11] = flag::if_ | flag::fixed;
    run([](CodeGenerator& c) {
        c.add(rax, rbx);
        sysretq(c);
    });
}

// By reads, writes and fetches of pages that are not there, and by UD2. Under a mask there is no access.
TEST_F(TranslatedSystemCalls, Faults) {
    constexpr std::uint64_t missing = 0x4000'0000; // behind what is mapped
    for (const unsigned kind : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U}) {
        (*this)[x86::rbx] = missing + 0xFF8;
        (*this)[x86::r12] = TestCpu::data_at;
        (*this)[x86::rcx] = 5;
        run([kind](CodeGenerator& c) {
            Xbyak::Label again;
            c.L(again);
            c.add(rdx, ptr[r12]);
            c.vxorps(xmm0, xmm0, xmm0);
            c.add(r12, 8);
            c.dec(rcx);
            c.jnz(again);
            switch (kind) {
            case 0: c.adc(rax, ptr[rbx]); break;
            case 1: c.sbb(ptr[rbx], rdx); break;
            case 2: c.adc(rax, ptr[rbx + 4]); break; // goes on in the next page
            case 3: c.jmp(rbx); break;
            case 4: c.addps(xmm1, ptr[rbx - 0x18]); break;
            case 5: c.addps(xmm1, ptr[rbx - 0x14]); break; // not aligned
            case 6: c.vmaskmovps(ymm1, ymm0, ptr[rbx - 0x38]); break;
            case 7: c.vpmaskmovq(ptr[rbx - 0x38], ymm0, ymm1); break;
            default: c.ud2(); break;
            }
        });
    }
}

} // namespace
} // namespace strata::cpu::translator
