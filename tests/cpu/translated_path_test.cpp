// Traces along paths: through computed jumps, calls and returns, and from page to page. Whatever the path was
// when it was recorded, what the guest does next has to be what the interpreter does.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using Xbyak::Label;
using namespace Xbyak::util; // NOLINT: the registers' names

class TranslatedPaths : public TranslatedRun {
protected:
    static constexpr std::uint64_t far_code = 0x40'0000, far_pages = 3; // functions, one in a page
    static constexpr std::uint64_t table = 0x2'0800, program = 0x2'0F00;

    [[nodiscard]] std::uint64_t paths() { return counts_["traces-along-paths"]; }

    // A function at the beginning of a page.
    static void place(TestCpu& cpu, std::uint64_t page, const std::function<void(CodeGenerator&)>& emit) {
        CodeGenerator code;
        emit(code);
        cpu.write_bytes(far_code + page * memory::page_size, std::span(code.getCode(), code.getSize()));
    }

    // rAX is stirred, so that branches go now this way, now the other.
    static void stir(CodeGenerator& c) {
        c.imul(rax, rax, 0x5851F42D);
        c.add(rax, 0x14057B7F);
    }

    static void far_call(CodeGenerator& c, std::uint64_t at, std::uint64_t target) {
        c.db(0xE8);
        c.dd(static_cast<std::uint32_t>(target - (at + c.getSize() + 4)));
    }
};

// As interpreters of bytecode do it: the program in memory says where to jump.
TEST_F(TranslatedPaths, InterpretsPrograms) {
    constexpr unsigned operations = 6;
    unsigned programs = 0; // that became paths
    for (unsigned seed = 1; seed <= 30; ++seed) {
        const unsigned length = seed; // long ones are too long for a path
        prepare_ = [seed, length](TestCpu& cpu) {
            std::mt19937 random(seed);
            for (unsigned i = 0; i < length; ++i) {
                cpu.write<std::uint8_t>(program + i, static_cast<std::uint8_t>(random() % operations));
            }
            cpu.write<std::uint8_t>(program + length, operations); // the last
        };
        (*this)[x86::rcx] = 30;
        (*this)[x86::rdi] = table;
        run([](CodeGenerator& c) {
            std::array<Label, operations + 1> handlers;
            Label again;
            for (unsigned i = 0; i < handlers.size(); ++i) {
                c.lea(rdx, ptr[rip + handlers[i]]);
                c.mov(ptr[rdi + i * 8], rdx);
            }
            const auto next = [&](bool by_register) {
                c.movzx(edx, byte[rsi]);
                c.inc(rsi);
                if (by_register) {
                    c.mov(rdx, ptr[rdi + rdx * 8]);
                    c.jmp(rdx);
                } else {
                    c.jmp(ptr[rdi + rdx * 8]);
                }
            };
            c.L(again);
            c.mov(esi, program);
            next(true);
            c.L(handlers[0]);
            stir(c);
            next(false);
            c.L(handlers[1]);
            c.adc(rbx, rax);
            next(true);
            c.L(handlers[2]);
            c.rol(rbx, 7);
            c.mov(ptr[rdi + 0x100], rbx);
            next(false);
            c.L(handlers[3]);
            c.sbb(rbp, ptr[rdi + 0x100]);
            next(false);
            c.L(handlers[4]);
            {
                Label even, odd;
                stir(c);
                c.bt(eax, 16);
                c.jnc(even);
                c.xor_(rbp, rbx);
                c.jmp(odd);
                c.L(even);
                c.sub(rbp, 3);
                c.L(odd);
            }
            next(true);
            c.L(handlers[5]);
            c.push(rbx);
            c.pop(r8);
            c.lea(r9, ptr[r8 + rbp * 2]);
            next(true);
            c.L(handlers[6]);
            c.dec(rcx);
            c.jnz(again, CodeGenerator::T_NEAR);
            c.jmp(ptr[rip + 2]); // so that the program ends by a computed jump, too
            c.hlt();
            c.nop();
            c.dq(TestCpu::handler_at(6));
        });
        programs += paths() > 0 ? 1 : 0;
    }
    EXPECT_GT(programs, 5U);
}

TEST_F(TranslatedPaths, CallsFromPageToPage) {
    prepare_ = [](TestCpu& cpu) {
        for (std::uint64_t page = 0; page < far_pages; ++page) {
            place(cpu, page, [&](CodeGenerator& c) {
                const std::uint64_t at = far_code + page * memory::page_size;
                Label skip;
                c.push(rbx);
                stir(c);
                c.bt(eax, static_cast<std::uint8_t>(11 + page));
                c.jc(skip);
                c.xor_(ptr[rdi + page * 8], rax);
                if (page + 1 < far_pages) {
                    far_call(c, at, at + memory::page_size);
                }
                c.L(skip);
                c.pop(rbx);
                c.add(rbx, static_cast<std::uint32_t>(page));
                c.ret(page % 2 == 0 ? 0 : 8);
            });
        }
    };
    (*this)[x86::rcx] = 100;
    (*this)[x86::rdi] = table;
    run([](CodeGenerator& c) {
        Label again;
        c.mov(rbp, rsp);
        c.L(again);
        c.push(rcx);
        c.push(rcx); // what some functions release
        c.mov(rdx, rax);
        c.and_(edx, 1);
        c.shl(edx, memory::page_shift);
        c.add(rdx, static_cast<std::uint32_t>(far_code));
        c.call(rdx);
        far_call(c, TestCpu::code_at, far_code + memory::page_size);
        c.mov(rcx, ptr[rbp - 8]);
        c.mov(rsp, rbp);
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_GT(paths(), 0U);
}

// A function that two call by turns returns to each.
TEST_F(TranslatedPaths, ReturnsToWhoCalled) {
    prepare_ = [](TestCpu& cpu) {
        place(cpu, 0, [](CodeGenerator& c) {
            c.add(rbx, ptr[rsp]);
            c.ret();
        });
    };
    (*this)[x86::rcx] = 64;
    run([](CodeGenerator& c) {
        Label again, other, both;
        c.L(again);
        c.test(cl, 4);
        c.jz(other);
        far_call(c, TestCpu::code_at, far_code);
        c.rol(rbx, 3);
        c.jmp(both);
        c.L(other);
        far_call(c, TestCpu::code_at, far_code);
        c.xor_(rbx, rcx);
        c.L(both);
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_GT(paths(), 0U);
}

// The function in another page is written anew every few rounds.
TEST_F(TranslatedPaths, SeesWhatItRunsThroughRewritten) {
    prepare_ = [](TestCpu& cpu) {
        place(cpu, 1, [](CodeGenerator& c) {
            c.add(rbx, 0x1122'3344);
            c.ret();
        });
    };
    (*this)[x86::rcx] = 60;
    run([](CodeGenerator& c) {
        Label again, same;
        c.mov(edi, far_code + memory::page_size + 3); // the constant
        c.L(again);
        far_call(c, TestCpu::code_at, far_code + memory::page_size);
        c.test(cl, 7);
        c.jnz(same);
        c.add(dword[rdi], ecx);
        c.L(same);
        c.rol(rbx, 1);
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_GT(paths(), 0U);
}

// The page it runs through is exchanged every few rounds.
TEST_F(TranslatedPaths, SeesWhatItRunsThroughMappedElsewhere) {
    constexpr std::uint64_t linear = 0x60'0000, page_table = 0x1'8000, first = 0x50'0000;
    prepare_ = [](TestCpu& cpu) {
        cpu.write<std::uint64_t>(TestCpu::page_tables_at + 0x2000 + 3 * 8, page_table | 7);
        cpu.write<std::uint64_t>(page_table, first | 7);
        for (unsigned i = 0; i < 2; ++i) {
            CodeGenerator code;
            code.lea(rbx, ptr[rbx + rbx * 2 + (i + 1)]);
            if (i == 1) {
                code.rol(rbx, 9);
            }
            code.ret();
            cpu.write_bytes(first + i * memory::page_size, std::span(code.getCode(), code.getSize()));
        }
    };
    (*this)[x86::rcx] = 60;
    run([](CodeGenerator& c) {
        Label again, same;
        c.mov(edi, page_table);
        c.mov(esi, linear);
        c.L(again);
        c.call(rsi);
        c.test(cl, 7);
        c.jnz(same);
        c.xor_(dword[rdi], static_cast<std::uint32_t>(memory::page_size));
        c.db(0x0F), c.db(0x01), c.db(0x3E); // invlpg [rsi]
        c.L(same);
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_GT(paths(), 0U);
}

// A path that begins in the middle of its loop, and one through a recursion.
TEST_F(TranslatedPaths, RunsThroughItself) {
    (*this)[x86::rcx] = 40;
    run([](CodeGenerator& c) {
        Label again, middle, depth, deepest;
        c.jmp(middle);
        c.L(again);
        stir(c);
        c.L(middle);
        c.mov(edx, 5);
        c.call(depth);
        c.dec(rcx);
        c.jnz(again);
        c.hlt();
        c.L(depth);
        c.add(rbx, rdx);
        c.dec(edx);
        c.jz(deepest);
        c.call(depth);
        c.L(deepest);
        c.rol(rbx, 5);
        c.ret();
    });
    EXPECT_GT(paths(), 0U);
}

// An access on the path faults, and a push finds no memory, after many rounds.
TEST_F(TranslatedPaths, FaultsWhereTheGuestDoes) {
    for (const std::uint32_t step : {0x1000U, 0x10'0000U}) {
        prepare_ = [](TestCpu& cpu) {
            place(cpu, 0, [](CodeGenerator& c) {
                c.mov(rdx, ptr[rsi]);
                c.add(rbx, rdx);
                c.ret();
            });
        };
        (*this)[x86::rsi] = 0x3000'0000;
        run([step](CodeGenerator& c) {
            Label again;
            c.L(again);
            far_call(c, TestCpu::code_at, far_code);
            c.add(rsi, step);
            c.jmp(again);
        });
        EXPECT_GT(paths(), 0U);
    }
}

// Pages that are nowhere neighbours, another one each time: regions do not help. The second time, since the
// code was written anew meanwhile, that is known.
TEST_F(TranslatedPaths, FindsMemoryInPagesAllOverThePlace) {
    constexpr std::uint64_t linear = 0x60'0000, page_table = 0x1'8000, first = 0x20'0000, pages = 256;
    prepare_ = [](TestCpu& cpu) {
        cpu.write<std::uint64_t>(TestCpu::page_tables_at + 0x2000 + 3 * 8, page_table | 7);
        for (std::uint64_t i = 0; i < pages; ++i) {
            cpu.write<std::uint64_t>(page_table + i * 8, (first + i * 37 % pages * memory::page_size) | 7);
        }
    };
    (*this)[x86::rsi] = linear;
    (*this)[x86::rdi] = linear + 0x40;
    (*this)[x86::rcx] = 3;
    run([](CodeGenerator& c) {
        Label again, inner, constant, out;
        c.lea(r12, ptr[rip + constant]);
        c.jmp(again);
        c.L(inner);
        stir(c);
        c.mov(r8d, eax);
        c.and_(r8d, (pages - 1) << memory::page_shift);
        c.mov(r9, ptr[rsi + r8 + 0x10]); // these two share a check
        c.L(constant);
        c.add(r9, 0x1122'3344);
        c.mov(ptr[rsi + r8 + 0x18], r9);
        c.xor_(rbx, ptr[rdi + r8]);
        c.dec(edx);
        c.jnz(inner);
        c.add(dword[r12 + 3], ecx);
        c.dec(rcx);
        c.jz(out);
        c.L(again);
        c.mov(edx, 12000);
        c.jmp(inner);
        c.L(out);
    });
    EXPECT_GT(paths(), 1U);
    // Each page's first access by two ways, and what the first time took to find out: without that the other
    // two take as much.
    EXPECT_LT(counts_["region-fills"], 2 * pages + 50);
}

// 32-bit code, whose tables have words of 32 bits.
TEST_F(TranslatedPaths, RunNarrowCode) {
    (*this)[x86::rcx] = 50;
    (*this)[x86::rdi] = table;
    run(
        [](CodeGenerator& c) {
            // mov dword [edi], target of `call [edi]`; the code is written out, since Xbyak makes 64-bit code
            const auto bytes = [&](std::initializer_list<int> list) {
                for (const int byte : list) {
                    c.db(byte);
                }
            };
            bytes({0xE8, 0, 0, 0, 0}); // call +0
            bytes({0x5A});             // pop edx
            bytes({0x8D, 0x42, 0x20}); // lea eax, [edx+0x20]
            bytes({0x89, 0x07});       // mov [edi], eax
            const auto again = c.getSize();
            bytes({0x40});                                                     // inc eax
            bytes({0xFF, 0x17});                                               // call [edi]
            bytes({0x01, 0xC3});                                               // add ebx, eax
            bytes({0x49});                                                     // dec ecx
            bytes({0x75, static_cast<int>(again - (c.getSize() + 2)) & 0xFF}); // jnz again
            while (c.getSize() < 5 + 0x20) {
                bytes({0xF4}); // hlt
            }
            bytes({0x8D, 0x44, 0x08, 0x03, 0xD1, 0xC3, 0xC3}); // lea eax, [eax+ecx+3]; rol ebx, 1; ret
        },
        testing::Mode::protected32);
    EXPECT_GT(paths(), 0U);
}

} // namespace
} // namespace strata::cpu::translator
