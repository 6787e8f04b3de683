// x87 instructions on the host's unit: whatever they do to registers, status, tags and the record of the last
// instruction has to be what the interpreter makes of them, wherever that looks.
#include "cpu/x86/x87.hpp"
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using Xbyak::Label;
using namespace Xbyak::util; // NOLINT: the registers' names

void bytes(CodeGenerator& c, std::initializer_list<int> all) {
    for (const int byte : all) {
        c.db(byte);
    }
}

// FXSAVE [rdi + displacement], or FXSAVE64, which stores all of FIP and FDP.
void save(CodeGenerator& c, std::uint32_t displacement, bool wide) {
    bytes(c, wide ? std::initializer_list<int>{0x48, 0x0F, 0xAE, 0x87}
                  : std::initializer_list<int>{0x0F, 0xAE, 0x87});
    c.dd(displacement);
}

class TranslatedX87 : public TranslatedRun {
protected:
    static constexpr std::uint64_t numbers = 0x2'0800, control_words = 0x2'0F00, images = 0x2'1000;

    void SetUp() override {
        TranslatedRun::SetUp();
        for (std::uint64_t& value : registers_) {
            value = static_cast<std::uint32_t>(value); // as 32-bit code has it
        }
        (*this)[x86::rbx] = numbers;
        (*this)[x86::rsi] = control_words;
        (*this)[x86::rdi] = images;
        (*this)[x86::rbp] = numbers + 64;
        prepare_ = [this](TestCpu& cpu) { prepare(cpu); };
    }

    // A stack with numbers, and numbers in memory.
    void prepare(TestCpu& cpu) {
        x86::FpState& fp = cpu.cpu->fp;
        fp.fcw = control_;
        fp.fsw = static_cast<std::uint16_t>(top_ << x86::fsw::top_shift);
        fp.abridged_tag = tags_;
        for (unsigned i = 0; i < 8; ++i) {
            fp.physical[i] = x86::from_integer(static_cast<std::int64_t>(i * i) - 20);
        }
        for (unsigned i = 0; i < 32; ++i) {
            cpu.write<double>(numbers + i * 8, 1.5 * i - 7);
        }
        for (unsigned i = 0; i < 8; ++i) {
            cpu.write<std::uint16_t>(control_words + i * 2, static_cast<std::uint16_t>(i << 9 | 0x7F));
        }
        if (more_) {
            more_(cpu);
        }
    }

    std::uint64_t interpreted(const std::string& mnemonic) { return counts_[mnemonic]; }

    std::uint16_t control_ = x86::fcw::initial;
    unsigned top_ = 0;
    std::uint8_t tags_ = 0;
    std::function<void(TestCpu&)> more_; // that is prepared
};

// Bytes that mean the same in 64-bit and in 32-bit code: at random, most of them the x87 unit's.
class RandomProgram {
public:
    // `media`: MMX's instructions for half of the unit's.
    RandomProgram(unsigned seed, bool media) : random_(seed), media_(media) {}

    void emit(CodeGenerator& c) {
        Label again, behind;
        c.mov(ecx, 1 + pick(12));
        c.L(again);
        for (unsigned i = 5 + pick(30); i-- > 0;) {
            one(c);
        }
        if (pick(2) == 0) {
            Label skipped;
            c.test(eax, eax);
            c.jp(skipped);
            one(c);
            c.L(skipped);
        }
        c.sub(ecx, 1);
        c.jnz(again, CodeGenerator::T_NEAR);
    }

private:
    unsigned pick(unsigned end) { return static_cast<unsigned>(random_() % end); }

    void one(CodeGenerator& c) {
        const unsigned kind = pick(20);
        if (kind < 9 && media_) {
            of_media(c);
        } else if (kind < 9) {
            of_registers(c);
        } else if (kind < 15) {
            of_memory(c);
        } else {
            another(c);
        }
    }

    void of_registers(CodeGenerator& c) {
        const unsigned escape = pick(8), modrm = 0xC0 | pick(64);
        const bool defined = [&] {
            switch (escape) {
            case 1:
                return modrm < 0xD1 || modrm >= 0xE8
                           ? modrm != 0xEF
                           : (modrm >= 0xD8 && modrm < 0xE2) || modrm / 2 == 0xE4 / 2;
            case 2: return modrm < 0xE0 || modrm == 0xE9;
            case 3: return modrm < 0xE0 || modrm == 0xE2 || (modrm >= 0xE8 && modrm < 0xF8);
            case 5: return modrm < 0xF0;
            case 6: return modrm < 0xD8 || modrm == 0xD9 || modrm >= 0xE0;
            case 7: return modrm < 0xE1 || (modrm >= 0xE8 && modrm < 0xF8);
            default: return true;
            }
        }();
        if (defined) {
            c.db(0xD8 | static_cast<int>(escape));
            c.db(static_cast<int>(modrm));
        }
    }

    // Between MM registers, from memory at [rbx + displacement], from or to EAX and the like, or from or to
    // XMM registers.
    void of_media(CodeGenerator& c) {
        constexpr std::array opcodes{0x60, 0x63, 0x67, 0x68, 0x6B, 0x6E, 0x6F, 0x6F, 0x74, 0x76, 0x7E, 0x7F,
                                     0x7F, 0xD1, 0xD4, 0xD5, 0xD7, 0xDB, 0xDF, 0xE0, 0xE2, 0xE4, 0xE7, 0xE9,
                                     0xEB, 0xEF, 0xF3, 0xF4, 0xF5, 0xF6, 0xFA, 0xFC, 0xFE, 0x2D, 0x2C, 0x2A};
        const unsigned kind = pick(16);
        if (kind == 0) {
            c.emms();
        } else if (kind == 1) {
            bytes(c, {pick(2) == 0 ? 0xF3 : 0xF2, 0x0F, 0xD6, 0xC0 | static_cast<int>(pick(16))});
        } else if (kind == 2) {
            bytes(c, {0x0F, 0x70, 0xC0 | static_cast<int>(pick(64)), static_cast<int>(pick(256))}); // PSHUFW
        } else {
            const int opcode = opcodes[pick(opcodes.size())], reg = static_cast<int>(pick(8)) << 3;
            const bool in_memory = pick(2) == 0 && opcode != 0xD7; // PMOVMSKB
            if (in_memory || opcode == 0xE7) {                     // MOVNTQ
                bytes(c, {0x0F, opcode, 0x43 | reg, static_cast<int>(pick(100))});
            } else if (opcode == 0x7E) {
                bytes(c, {0x0F, opcode, 0xC0 | reg}); // to EAX
            } else {
                bytes(c, {0x0F, opcode, 0xC0 | (opcode == 0xD7 ? 0 : reg) | static_cast<int>(pick(8))});
            }
        }
    }

    // [rbx + displacement], without those that load or store an environment.
    void of_memory(CodeGenerator& c) {
        const unsigned escape = pick(8), operation = pick(8);
        const bool left_out = (escape == 1 && (operation == 1 || (operation >= 4 && operation != 7))) ||
                              (escape == 3 && (operation == 4 || operation == 6)) ||
                              (escape == 5 && (operation >= 4 && operation != 7));
        if (!left_out) {
            c.db(0xD8 | static_cast<int>(escape));
            c.db(static_cast<int>(0x43 | operation << 3));
            c.db(static_cast<int>(pick(100)));
        }
    }

    void another(CodeGenerator& c) {
        switch (pick(13)) {
        case 0: c.fldcw(word[rsi + pick(8) * 2]); break;
        case 1: c.fnstenv(ptr[rdi + pick(4) * 28]); break;
        case 2: c.db(0x9B); break; // FWAIT
        case 3: c.lea(ebx, ptr[rbx + static_cast<int>(pick(9)) - 4]); break;
        case 4: c.mov(eax, dword[rbx + pick(64)]); break;
        case 5: c.movups(xmm0, ptr[rbx + pick(64)]); break;
        case 6: c.addps(xmm1, xmm0); break;
        case 7: c.movups(ptr[rdi + 0x200], xmm1); break;
        case 8: save(c, 0x400, false); break;
        case 9: c.sahf(); break;
        case 10: c.db(0xD7); break; // XLAT, which is interpreted
        case 11: c.rdtsc(); break;
        default: c.cmp(eax, edx); break;
        }
    }

    std::mt19937 random_;
    bool media_;
};

TEST_F(TranslatedX87, DoesWhatTheInterpreterDoes) {
    for (unsigned seed = 1; seed <= 120; ++seed) {
        control_ = static_cast<std::uint16_t>(seed % 16 << 8 | 0x7F);
        top_ = seed % 8;
        tags_ = static_cast<std::uint8_t>(seed * 37);
        const auto mode = seed % 2 == 0 ? testing::Mode::protected32 : testing::Mode::long64;
        run([seed](CodeGenerator& c) { RandomProgram(seed, seed % 3 == 0).emit(c); }, mode);
        ASSERT_FALSE(HasFailure()) << "seed " << seed;
    }
}

// Wherever one is seen, the record is that of the round's last instruction.
TEST_F(TranslatedX87, OutlastsSignals) {
    disturbed_ = true;
    std::uint64_t last = 0, jump = 0;
    on_stop_ = [&](const x86::State& state) {
        if (state.rip == jump) {
            EXPECT_EQ(state.fp.fip, last);
            EXPECT_EQ(state.fp.fdp, numbers + state.gpr[x86::rdx] * 8);
        }
    };
    run([&](CodeGenerator& c) {
        Label again;
        c.mov(ecx, 300'000);
        c.fld1();
        c.fldz();
        c.L(again);
        c.mov(edx, ecx);
        c.and_(edx, 15);
        c.fadd(qword[rbx]);
        c.fmul(st0, st1);
        c.fst(qword[rbx + 8]);
        c.fld(qword[rbx + rdx * 8]);
        last = TestCpu::code_at + c.getSize();
        c.faddp();
        c.sub(ecx, 1);
        jump = TestCpu::code_at + c.getSize();
        c.jnz(again);
    });
    EXPECT_LT(interpreted("fadd") + interpreted("fmul") + interpreted("faddp"), 1000U);
}

// A round needs the unit in the end and the vectors in the beginning, or the other way round, or is
// interpreted in between.
TEST_F(TranslatedX87, SharesLoopsWithVectors) {
    for (unsigned order = 0; order < 4; ++order) {
        run([order](CodeGenerator& c) {
            Label again;
            c.mov(ecx, 50);
            c.mov(r12d, 3);
            c.L(again);
            if (order % 2 == 0) {
                c.movups(xmm0, ptr[rbx]);
                c.addps(xmm1, xmm0);
                c.fild(dword[rbx + 64]);
            } else {
                c.fild(dword[rbx + 64]);
                c.movups(xmm0, ptr[rbx]);
                c.addps(xmm1, xmm0);
            }
            c.faddp();
            if (order >= 2) {
                c.db(0xD7); // XLAT
            }
            c.fst(dword[rbx + 32]);
            c.add(r12, r13);
            c.xor_(r14, r12);
            c.rol(r15, 3);
            c.sub(r15, r14);
            c.add(r13, r15);
            c.sub(ecx, 1);
            c.jnz(again);
        });
    }
}

// What is told of the last instruction, after each kind: it is stored in memory each time.
TEST_F(TranslatedX87, TellsOfTheLastInstruction) {
    for (const bool narrow : {false, true}) {
        run(
            [](CodeGenerator& c) {
                int at = 0;
                const auto tell = [&] {
                    c.fnstenv(ptr[rdi + at]);
                    at += 28;
                };
                c.fld(dword[rbx]);
                tell();
                c.fld(qword[rbp]); // by SS
                c.fxch();
                tell();
                c.fnstcw(word[rbx + 8]); // none of these counts
                c.fnstsw(ax);
                c.fldcw(word[rsi]);
                c.fnclex();
                c.db(0x9B);
                tell();
                c.fld(qword[rbx + 16]);
                c.lea(ebx, ptr[rbx + 8]); // the address was another
                c.fadd(st0, st1);
                tell();
                c.fld(qword[rbx]);
                c.push(rbx);
                c.mov(ebx, ecx);
                c.pop(rbx);
                tell();
                bytes(c, {0xDB, 0x3C, 0x33}); // fstp tword [rbx + rsi]
                tell();
                c.fincstp();
                tell();
                c.fnop();
                tell();
                c.fninit();
                tell();
                c.fld1();
                tell();
                c.fnsave(ptr[rdi + at]);
            },
            narrow ? testing::Mode::protected32 : testing::Mode::long64);
    }
}

// Addresses by the instruction's own, by FS, in two registers, of which both live in memory.
TEST_F(TranslatedX87, TellsOfTheLastOperand) {
    more_ = [](TestCpu& cpu) { cpu.cpu->system.segments[x86::fs].base = 0x100; };
    (*this)[x86::r12] = numbers;
    (*this)[x86::r13] = 0;
    (*this)[x86::r14] = 3;
    run([](CodeGenerator& c) {
        c.fld(qword[r12 + r14 * 8]);
        save(c, 0, false);
        c.fld(qword[rip]);
        save(c, 0x200, false);
        c.putSeg(fs);
        c.fadd(dword[rbx]);
        save(c, 0x400, true);
        c.fld(dword[r12 + 4]);
        c.mov(r12, r14);
        c.faddp();
        save(c, 0x600, true);
    });
}

// Loads and stores that meet a page which is not there, or half of one: nothing has changed then.
TEST_F(TranslatedX87, FaultsBeforeAnythingChanges) {
    const std::uint64_t hole = TestCpu::page_tables_at + 0x2000 + 8;
    more_ = [](TestCpu& cpu) { cpu.write<std::uint64_t>(hole, 0); }; // the second 2 MiB
    for (unsigned kind = 0; kind < 9; ++kind) {
        for (const unsigned before : {16, 9, 4, 1, 0}) {
            (*this)[x86::rbp] = 0x20'0000 - before;
            run([kind](CodeGenerator& c) {
                c.fld(qword[rbx]);
                c.fld(dword[rbx + 8]);
                switch (kind) {
                case 0:
                    bytes(c, {0xDB, 0x7D, 0}); // FSTP of 80 bits
                    break;
                case 1:
                    bytes(c, {0xDB, 0x6D, 0}); // FLD
                    break;
                case 2: c.fst(qword[rbp]); break;
                case 3: c.fadd(qword[rbp]); break;
                case 4: c.fistp(qword[rbp]); break;
                case 5: bytes(c, {0xDF, 0x75, 0}); break; // FBSTP
                case 6: c.fnstcw(word[rbp]); break;
                case 7: // two that share a check
                    c.mov(eax, dword[rbp - 16]);
                    c.mov(edx, dword[rbp]);
                    break;
                default: c.fldcw(word[rbp]); break;
                }
                c.fld1();
            });
        }
    }
}

// Control words that do not mask all, an exception that waits, and what follows is the interpreter's.
TEST_F(TranslatedX87, LeavesUnmaskedExceptions) {
    for (unsigned mask = 0; mask < 64; mask += 3) {
        more_ = [mask](TestCpu& cpu) {
            cpu.write<std::uint16_t>(control_words, static_cast<std::uint16_t>(0x1340 | mask));
        };
        run([](CodeGenerator& c) {
            Label again;
            c.mov(ecx, 3);
            c.L(again);
            c.fldcw(word[rsi + 2]);
            c.fld(qword[rbx]);
            c.fldz();
            c.fdivp();
            c.fnclex();
            c.fldcw(word[rsi]);
            c.movups(xmm0, ptr[rbx]);
            c.fld(qword[rbx]);
            c.fldz();
            c.fdivp();
            c.fnstsw(ax);
            c.addps(xmm0, xmm0);
            c.fstp(qword[rbx + 8]); // reports
            c.sub(ecx, 1);
            c.jnz(again);
        });
    }
}

// Code that is written while the unit is loaded: the next instruction's, and another trace's.
TEST_F(TranslatedX87, OutlastsItsCode) {
    run([](CodeGenerator& c) {
        Label again, written;
        c.mov(ecx, 40);
        c.fld1();
        c.L(again);
        c.fadd(qword[rbx]);
        c.lea(rdx, ptr[rip + written]);
        c.mov(eax, ecx);
        c.and_(eax, 7);
        c.or_(eax, 0xC0);
        c.mov(ptr[rdx + 1], al);
        c.L(written);
        c.fld(st0);
        c.fincstp();
        c.sub(ecx, 1);
        c.jnz(again);
    });
}

// CR0.TS is set between two instructions of a trace.
TEST_F(TranslatedX87, LeavesAnotherTasksUnit) {
    for (const unsigned bit : {1, 2, 3}) { // MP, EM, TS
        run([bit](CodeGenerator& c) {
            c.fld1();
            bytes(c, {0x0F, 0x20, 0xC0}); // mov rax, cr0
            c.bts(rax, static_cast<std::uint8_t>(bit));
            bytes(c, {0x0F, 0x22, 0xC0}); // mov cr0, rax
            c.fnstsw(word[rbx]);
            c.db(0x9B);
            c.fldpi();
        });
    }
}

} // namespace
} // namespace strata::cpu::translator
