// REP MOVS and REP STOS in translated code: the translator must leave what the interpreter leaves, and leaves
// the usual ones to nobody.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using namespace Xbyak::util; // NOLINT: the registers' names

namespace flag = x86::flag;

constexpr std::uint64_t page = memory::page_size;

enum class Op : std::uint8_t { stosb, stosw, stosd, stosq, movsb, movsw, movsd, movsq };

constexpr std::array<const char*, 8> names{"stosb", "stosw", "stosd", "stosq",
                                           "movsb", "movsw", "movsd", "movsq"};

void emit(CodeGenerator& c, Op op) {
    switch (op) {
    case Op::stosb: c.stosb(); break;
    case Op::stosw: c.stosw(); break;
    case Op::stosd: c.stosd(); break;
    case Op::stosq: c.stosq(); break;
    case Op::movsb: c.movsb(); break;
    case Op::movsw: c.movsw(); break;
    case Op::movsd: c.movsd(); break;
    case Op::movsq: c.movsq(); break;
    }
}

class TranslatedStrings : public TranslatedRun {
protected:
    // Ten times, each time `step` further, with flags that have to stay and vectors that are in use.
    void repeat(Op op, std::uint64_t source, std::uint64_t destination, std::uint64_t count,
                std::uint32_t step = 8) {
        (*this)[x86::rbx] = source;
        (*this)[x86::rdx] = destination;
        (*this)[x86::r8] = count;
        (*this)[x86::r10] = 10;
        run([=](CodeGenerator& c) {
            Xbyak::Label again;
            c.movups(xmm3, ptr[rbx]);
            c.L(again);
            c.mov(rsi, rbx);
            c.mov(rdi, rdx);
            c.mov(rcx, r8);
            c.add(r9, r9); // any flags
            c.rep();
            emit(c, op);
            c.adc(r9, 1);
            c.seto(r11b);
            c.add(r14, rsi);
            c.rol(r14, 1);
            c.add(r14, rdi);
            c.add(r14, rcx);
            c.paddq(xmm3, xmm3);
            c.lea(rbx, ptr[rbx + step]);
            c.lea(rdx, ptr[rdx + step]);
            c.dec(r10);
            c.jnz(again);
            c.movups(ptr[rdx], xmm3);
        });
    }
};

// Once by the interpreter, which makes the page known.
TEST_F(TranslatedStrings, WithinPages) {
    for (unsigned op = 0; op < names.size(); ++op) {
        for (const std::uint64_t count : {0U, 1U, 7U, 64U}) {
            repeat(static_cast<Op>(op), TestCpu::data_at + 0x123, TestCpu::data_at + 4 * page + 0x41, count);
            EXPECT_LE(counts_[names[op]], 1U) << names[op] << " of " << count;
        }
    }
}

TEST_F(TranslatedStrings, WholePages) {
    for (const Op op : {Op::stosq, Op::movsq}) {
        repeat(op, TestCpu::data_at, TestCpu::data_at + 0x1'0000, page / 8, 0);
        EXPECT_LE(counts_[names[static_cast<unsigned>(op)]], 1U);
    }
    for (const Op op : {Op::stosb, Op::movsb}) {
        repeat(op, TestCpu::data_at, TestCpu::data_at + 0x1'0000, page, 0);
        EXPECT_LE(counts_[names[static_cast<unsigned>(op)]], 1U);
    }
}

// Into the next page, or by a byte more than there is; counts that would go round.
TEST_F(TranslatedStrings, AcrossPages) {
    for (unsigned op = 0; op < names.size(); ++op) {
        for (const std::uint64_t count : {3U, 700U}) {
            repeat(static_cast<Op>(op), TestCpu::data_at + page - 4, TestCpu::data_at + 8 * page, count);
            repeat(static_cast<Op>(op), TestCpu::data_at, TestCpu::data_at + 8 * page - 4, count);
        }
    }
    repeat(Op::stosb, 0, TestCpu::data_at + 1, page, 0);
    repeat(Op::movsb, TestCpu::data_at + 1, TestCpu::data_at + 8 * page, page, 0);
}

// The destination overlaps what is still to be read, or what was.
TEST_F(TranslatedStrings, Overlapping) {
    for (const Op op : {Op::movsb, Op::movsw, Op::movsd, Op::movsq}) {
        for (const std::uint64_t distance : {1U, 2U, 5U, 8U, 16U, 40U}) {
            repeat(op, TestCpu::data_at, TestCpu::data_at + distance, 50, 0);
            repeat(op, TestCpu::data_at + distance, TestCpu::data_at, 50, 0);
        }
    }
}

TEST_F(TranslatedStrings, Backwards) {
    for (unsigned op = 0; op < names.size(); ++op) {
        (*this)[x86::rsi] = TestCpu::data_at + 0x800;
        (*this)[x86::rdi] = TestCpu::data_at + 0x900;
        run([op](CodeGenerator& c) {
            c.std();
            for (unsigned i = 0; i < 3; ++i) {
                c.mov(ecx, 9);
                c.rep();
                emit(c, static_cast<Op>(op));
            }
            c.cld();
        });
    }
}

// Nothing is there: the registers stay, however large the count.
TEST_F(TranslatedStrings, WhereNothingIs) {
    constexpr std::uint64_t missing = 0x4000'0000; // behind what is mapped
    for (const Op op : {Op::stosb, Op::stosq, Op::movsq}) {
        for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{1} << 61, std::uint64_t{1} << 63}) {
            (*this)[x86::rsi] = TestCpu::data_at;
            (*this)[x86::rdi] = missing;
            (*this)[x86::rcx] = count;
            run([op](CodeGenerator& c) {
                c.mov(rax, ptr[rsi]);
                c.rep();
                emit(c, op);
            });
        }
    }
}

} // namespace
} // namespace strata::cpu::translator
