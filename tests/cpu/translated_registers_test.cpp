// Selectors, bases, control registers and the direction flag in translated code: it must leave what the
// interpreter leaves.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using namespace Xbyak::util; // NOLINT: the registers' names

class TranslatedRegisters : public TranslatedRun {
protected:
    void SetUp() override {
        TranslatedRun::SetUp();
        prepare_ = [this](TestCpu& cpu) {
            cpu.cpu->system.cr4 |= usable_ ? x86::cr4::fsgsbase : 0;
            cpu.cpu->system.cr2 = 0x1234'5678'9ABC'DEF0;
            cpu.cpu->mode_changed();
            cpu.cpu->system.segments[x86::fs].base = 0x10'0000;
            cpu.cpu->system.segments[x86::gs].base = 0x20'0000;
            cpu.cpu->system.kernel_gs_base = 0x30'0000;
            cpu.cpu->system.segments[x86::fs].selector = 0xFEDC;
        };
    }

    bool usable_ = true; // CR4.FSGSBASE
};

// RD or WR FS or GS BASE.
void base(CodeGenerator& c, unsigned which, const Xbyak::Reg& with) {
    const int number = with.getIdx();
    c.db(0xF3);
    c.db(0x40 | (with.isREG(64) ? 8 : 0) | number >> 3);
    c.db(0x0F), c.db(0xAE);
    c.db(0xC0 | static_cast<int>(which) << 3 | (number & 7));
}

constexpr unsigned rdfs = 0, rdgs = 1, wrfs = 2, wrgs = 3;

void move_control(CodeGenerator& c, int number, int from) { // mov r64, cr
    c.db(0x40 | number >> 3);
    c.db(0x0F), c.db(0x20);
    c.db(0xC0 | from << 3 | (number & 7));
}

TEST_F(TranslatedRegisters, SelectorsAreRead) {
    (*this)[x86::rbx] = 0x11'0000;
    run([](CodeGenerator& c) {
        for (int segment = 0; segment < 6; ++segment) {
            for (const int prefix : {0x66, 0x40, 0x41, 0x48, 0x49}) {
                for (const int to : {0, 1, 5}) {
                    c.db(prefix), c.db(0x8C), c.db(0xC0 | segment << 3 | to);
                }
            }
            c.db(0x8C), c.db(0x43 | segment << 3), c.db(segment * 2); // mov [rbx+..], segment
            c.db(0x65), c.db(0x8C), c.db(0x03 | segment << 3);
        }
    });
    EXPECT_LE(counts_["mov"], 2U); // the first accesses to pages
}

TEST_F(TranslatedRegisters, SelectorsAreReadInNarrowCode) {
    prepare_ = nullptr;
    (*this)[x86::rbx] = 0x11'0000;
    run(
        [](CodeGenerator& c) {
            for (int segment = 0; segment < 6; ++segment) {
                c.db(0x8C), c.db(0xC1 | segment << 3);
                c.db(0x66), c.db(0x8C), c.db(0xC2 | segment << 3);
                c.db(0x8C), c.db(0x43 | segment << 3), c.db(segment * 2);
            }
        },
        testing::Mode::protected32);
    EXPECT_LE(counts_["mov"], 1U);
}

TEST_F(TranslatedRegisters, ControlRegistersAreRead) {
    run([](CodeGenerator& c) {
        for (const int from : {0, 2, 3, 4}) {
            for (const int to : {0, 1, 14}) {
                move_control(c, to, from);
            }
            c.lea(rbx, ptr[rbx * 2 + rax]);
            c.xor_(rbx, rcx);
        }
    });
    EXPECT_EQ(counts_["mov"], 0U);
}

TEST_F(TranslatedRegisters, BasesAreReadAndWritten) {
    (*this)[x86::rax] = 0x12'0000;
    (*this)[x86::r13] = 0x22'0000;
    const auto code = [](CodeGenerator& c) {
        c.putSeg(fs), c.mov(rbx, ptr[rsi * 0 + 0x100]);
        base(c, rdfs, rdx);
        base(c, rdgs, r12d);
        base(c, wrfs, rax);
        c.putSeg(fs), c.add(rbx, ptr[rsi * 0 + 0x108]);
        base(c, wrgs, r13d);
        c.putSeg(gs), c.add(rbx, ptr[rsi * 0 + 0x108]);
        c.putSeg(gs), c.add(ptr[rsi * 0 + 0x110], rbx);
        base(c, rdgs, rbp);
    };
    run(code);
    for (const char* name : {"rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase"}) {
        EXPECT_EQ(counts_[name], 0U) << name;
    }
    usable_ = false;
    run(code);
    EXPECT_EQ(counts_["rdfsbase"], 1U);
}

TEST_F(TranslatedRegisters, BasesAreCanonical) {
    for (const std::uint64_t value :
         {std::uint64_t{0x7FFF'FFFF'FFFF}, std::uint64_t{0x8000'0000'0000}, ~std::uint64_t{0},
          ~std::uint64_t{0x7FFF'FFFF'FFFF}, ~std::uint64_t{0x8000'0000'0000}, std::uint64_t{1} << 63}) {
        for (const auto& from : {rcx, r14}) {
            (*this)[x86::rcx] = (*this)[x86::r14] = value;
            run([&from](CodeGenerator& c) {
                base(c, wrgs, from);
                base(c, rdgs, rax);
            });
        }
    }
}

// What was found by the one base is not by the other.
TEST_F(TranslatedRegisters, SwappedBasesLeadElsewhere) {
    (*this)[x86::rcx] = 6;
    (*this)[x86::rsi] = 0x100;
    (*this)[x86::r8] = 0x12'0000;
    (*this)[x86::r9] = 0x10'0000;
    run([](CodeGenerator& c) {
        Xbyak::Label again;
        c.L(again);
        c.putSeg(gs), c.mov(rax, ptr[rsi]);
        c.putSeg(gs), c.add(rax, ptr[rsi + 8]);
        c.db(0x0F), c.db(0x01), c.db(0xF8); // swapgs
        c.putSeg(gs), c.xor_(rbx, ptr[rsi + 16]);
        c.putSeg(gs), c.add(ptr[rsi + 24], rax);
        c.putSeg(fs), c.add(rbx, ptr[rsi]);
        base(c, wrfs, r8);
        c.putSeg(fs), c.add(rbx, ptr[rsi + 8]);
        c.xchg(r8, r9);
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_LE(counts_["xor"] + counts_["add"], 6U); // the first accesses to pages
}

// What the clock says, and nothing else changes: no flag, no vector register, none that C++ may use.
TEST_F(TranslatedRegisters, TimeIsRead) {
    prepare_ = [](TestCpu& cpu) {
        cpu.cpu->system.tsc_offset = 0x1234'5678'9ABC'DEF0;
        cpu.cpu->system.tsc_aux = 0x8765'4321'0000'0007;
    };
    (*this)[x86::r12] = 0x11'0000;
    (*this)[x86::r14] = 5;
    run([](CodeGenerator& c) {
        Xbyak::Label again;
        c.L(again);
        c.vmovups(ymm7, ptr[r12]);
        c.add(rax, rbx);
        c.rdtsc();
        c.adc(r13, rax);
        c.rcl(r15, 1);
        c.vpaddq(ymm7, ymm7, ptr[r12 + 32]);
        c.vmovups(ptr[r12 + 64], ymm7);
        c.sub(rdx, r8);
        c.seto(sil);
        c.rdtscp();
        c.adc(rdi, rdx);
        c.pushfq();
        c.pop(r9);
        c.lea(r10, ptr[rcx + r10 * 2]);
        c.lea(r11, ptr[rax + r11 * 2]);
        c.add(r12, 16);
        c.dec(r14);
        c.jnz(again);
    });
    EXPECT_EQ(counts_["rdtsc"] + counts_["rdtscp"], 0U);
}

TEST_F(TranslatedRegisters, TimeIsReadInNarrowCode) {
    prepare_ = [](TestCpu& cpu) { cpu.cpu->system.tsc_offset = 0x1234'5678'9ABC'DEF0; };
    run(
        [](CodeGenerator& c) {
            c.add(eax, ebx);
            c.rdtscp();
            c.adc(esi, eax);
            c.rdtsc();
            c.lea(edi, ptr[rdx + rcx * 2]);
        },
        testing::Mode::protected32);
    EXPECT_EQ(counts_["rdtsc"] + counts_["rdtscp"], 0U);
}

// Programs read it unless CR4.TSD is set; kernels do.
TEST_F(TranslatedRegisters, TimeIsRefused) {
    for (const bool refused : {false, true}) {
        prepare_ = [refused](TestCpu& cpu) {
            constexpr std::uint64_t program_at = 0x3'1000, task_at = 0x3'2000;
            cpu.cpu->system.tr.base = task_at;
            cpu.cpu->system.tr.limit = 0x67;
            cpu.write<std::uint64_t>(task_at + 4, TestCpu::stack_top - 0x100); // rSP of level 0
            cpu.cpu->system.efer |= x86::efer::sce;
            cpu.cpu->system.star = 0x0023'0008'0000'0000;
            cpu.cpu->system.cr4 |= refused ? x86::cr4::tsd : 0;
            cpu.cpu->mode_changed();
            CodeGenerator program;
            program.inc(rsi);
            program.rdtsc();
            program.rdtscp();
            program.inc(rdi);
            program.hlt();
            cpu.write_bytes(program_at, std::span(program.getCode(), program.getSize()));
        };
        (*this)[x86::rcx] = 0x3'1000;
        (*this)[x86::r11] = x86::flag::fixed;
        run([](CodeGenerator& c) {
            c.mov(rbx, rcx);
            c.rdtscp();
            c.add(rbp, rdx);
            c.mov(rcx, rbx);
            c.db(0x48), c.db(0x0F), c.db(0x07); // sysretq
        });
        EXPECT_EQ(counts_["rdtsc"], refused ? 1U : 0U);
    }
}

TEST_F(TranslatedRegisters, DirectionIsSet) {
    (*this)[x86::rsi] = (*this)[x86::rdi] = 0x11'0000;
    run([](CodeGenerator& c) {
        c.std();
        c.lodsb();
        c.pushfq();
        c.std();
        c.stosq();
        c.cld();
        c.lodsd();
        c.pushfq();
        c.pop(rbx);
        c.pop(rcx);
        c.std();
    });
    EXPECT_EQ(counts_["cld"] + counts_["std"], 0U);
}

} // namespace
} // namespace strata::cpu::translator
