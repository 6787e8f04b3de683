// Lockstep finds a leader that is wrong, leaves a case that shows it again, and the reducer cuts that down.
#include "cpu/lockstep/comparison.hpp"
#include "cpu/lockstep/reducer.hpp"
#include "cpu/lockstep/vcpu.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/x86/model_changes.hpp"
#include "cpu_fixture.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <xbyak/xbyak.h>

namespace strata::cpu::lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TestCpu;
using namespace Xbyak::util; // NOLINT: the registers' names

// Does as the interpreter does, but for IMUL of two registers, after which the lowest bit is another.
class WrongLeader final : public Leader, private interpreter::BlockAccelerator {
public:
    WrongLeader(interpreter::Shared& shared, const VcpuConfig& config, Bus& bus) : cpu_(shared, config, bus) {
        cpu_.set_accelerator(this);
    }

    interpreter::Cpu& cpu() override { return cpu_; }

    static Result<std::unique_ptr<Leader>> make(interpreter::Shared& shared, const VcpuConfig& config,
                                                Bus& bus, const Pace& /*pace*/) {
        return std::make_unique<WrongLeader>(shared, config, bus);
    }

private:
    bool execute(interpreter::Block& block, interpreter::Block*& /*next*/) override {
        const interpreter::Insn* insn = block.insns;
        for (std::uint32_t i = 0; i < block.count && !cpu_.block_ended(); ++i, ++insn) {
            std::array<std::uint8_t, 3> bytes{};
            static_cast<void>(cpu_.shared().memory().read(*cpu_.translate(cpu_.rip()), bytes.data(), 3));
            cpu_.rip() += insn->length;
            try {
                insn->handler(cpu_, *insn);
            } catch (const interpreter::Fault&) {
                cpu_.rip() -= insn->length;
                throw;
            }
            if (bytes[0] == 0x0F && bytes[1] == 0xAF) {
                cpu_.regs[bytes[2] >> 3 & 7] ^= 1;
            }
        }
        return true;
    }

    void discard(interpreter::Block& /*block*/) override {}

    interpreter::Cpu cpu_;
};

class Lockstep : public ::testing::Test {
protected:
    // Memory and state as of a long-mode processor that is about to run the code.
    Lockstep() {
        Xbyak::CodeGenerator code;
        Xbyak::Label again;
        code.mov(ecx, 40);
        code.L(again);
        code.mov(rax, ptr[rsi + rcx * 8]);
        code.add(rbx, rax);
        code.cmp(ecx, 20);
        Xbyak::Label not_yet;
        code.jne(not_yet);
        code.xor_(edx, edx);
        code.imul(ebx, edi);
        code.add(r9, rbx);
        code.L(not_yet);
        code.push(rbx);
        code.pop(r8);
        code.dec(ecx);
        code.jnz(again);
        code.hlt();
        small_.write_bytes(TestCpu::code_at, std::span(code.getCode(), code.getSize()));
        for (std::uint64_t at = 0; at < 512; at += 8) {
            small_.write<std::uint64_t>(TestCpu::data_at + at, at * 0x9E37'79B9'7F4A'7C15);
        }
        state_ = small_.cpu->state();
        state_.gpr[x86::rsi] = TestCpu::data_at;
        state_.gpr[x86::rdi] = 0x1234'5678;
        state_.gpr[x86::r15] = 77;
        state_.fp.ymm[3].lanes[2] = 99;
    }

    // What the vCPU leaves of it.
    [[nodiscard]] std::optional<Case> run(const MakeLeader& make_leader) {
        const Copies copies = Copies::of(*small_.memory).value();
        const auto vcpu = LockstepVcpu::create(*small_.memory, copies, small_.clock,
                                               {.model = &small_.cpu->model()}, small_.bus, make_leader)
                              .value();
        vcpu->set_state(state_);
        const Exit exit = vcpu->run();
        EXPECT_EQ(exit, vcpu->failure() ? Exit::shutdown : Exit::halt);
        EXPECT_EQ(vcpu->failure().has_value(), !vcpu->evidence().empty());
        return vcpu->failed_on();
    }

    TestCpu small_{testing::Mode::long64};
    x86::State state_;
};

TEST_F(Lockstep, FindsNothingWhereBothAreRight) {
    ASSERT_EQ(translator::unavailable(), "");
    EXPECT_FALSE(run(make_translating_leader));
}

TEST_F(Lockstep, LeavesACaseThatShowsTheDifferenceAgain) {
    const auto found = run(WrongLeader::make);
    ASSERT_TRUE(found);
    const auto read = parse_case(case_text(*found));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->state, found->state);
    EXPECT_EQ(read->pages, found->pages);
    const auto again = try_case(*read, WrongLeader::make, {});
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_TRUE(*again);
    EXPECT_THAT((*again)->report, HasSubstr("\n  rbx "));
}

TEST_F(Lockstep, IsReducedToOneInstruction) {
    const auto found = run(WrongLeader::make);
    ASSERT_TRUE(found);
    const auto reduced = Reducer(WrongLeader::make).reduce(*found);
    ASSERT_TRUE(reduced) << reduced.error().message;
    ASSERT_TRUE(*reduced);
    const Case& remains = (*reduced)->remains;
    EXPECT_THAT((*reduced)->instructions, ElementsAre(HasSubstr("imul ebx, edi"), HasSubstr("hlt")));
    for (std::size_t i = 0; i < remains.state.gpr.size(); ++i) {
        EXPECT_EQ(remains.state.gpr[i], 0U) << i; // 0 times 0 is wrong, too
    }
    EXPECT_EQ(remains.state.fp, x86::FpState{});
    EXPECT_LE(remains.pages.size(), 4U); // the code and three tables
    EXPECT_LT(std::ranges::count(case_text(remains), '\n'), 80);
    EXPECT_TRUE(try_case(remains, WrongLeader::make, {}).value());
}

TEST_F(Lockstep, ACaseThatDoesNotDifferIsNotReduced) {
    ASSERT_EQ(translator::unavailable(), "");
    const auto found = run(WrongLeader::make);
    ASSERT_TRUE(found);
    EXPECT_FALSE(Reducer(make_translating_leader).reduce(*found).value());
}

TEST(LockstepCase, WhatIsNoneIsRefused) {
    const auto message = [](const std::string& text) {
        const auto read = parse_case(text);
        return read ? std::string() : read.error().message;
    };
    const std::string head = "strata-case 1\nmodel max\nmemory 0x10000\nlow-memory 0x10000\n";
    EXPECT_EQ(message(head), "");
    EXPECT_EQ(message(head + "rax 0x10 # a comment\n\nactivity 1\n"), "");
    EXPECT_THAT(message("rax 1\n"), HasSubstr("does not begin with"));
    EXPECT_THAT(message("strata-case 1\n"), HasSubstr("names no model"));
    EXPECT_THAT(message(head + "memory 0x10001\n"), HasSubstr("not of whole pages"));
    EXPECT_EQ(message(head + "rax\n"), "line 5: it takes a name and a value");
    EXPECT_EQ(message(head + "eax 1\n"), "line 5: there is nothing called 'eax'");
    EXPECT_EQ(message(head + "rax 0x12345678123456789\n"),
              "line 5: '0x12345678123456789' is no value of rax");
    EXPECT_EQ(message(head + "activity 9\n"), "line 5: '9' is no value of activity");
    EXPECT_EQ(message(head + "page 0x1001\n"), "line 5: '0x1001' is no address of a page");
    EXPECT_EQ(message(head + "0x10 1\n"), "line 5: it takes an offset and a value, below a page");
    EXPECT_EQ(message(head + "page 0x1000\n0xff9 1\n"),
              "line 6: it takes an offset and a value, below a page");
    EXPECT_EQ(message(head + "call read-port 1\n"), "line 5: a call has eleven parts");
    EXPECT_THAT(message(head + "model 68000\n"), HasSubstr("line 5: "));
    const auto outside = parse_case(head + "page 0x10000\n");
    ASSERT_TRUE(outside);
    EXPECT_EQ(outside->make_memory().error().message, "the page at 0x10000 is not in the case's memory");
}

TEST(LockstepComparison, WhatIsLeftOfFlagsInMemory) {
    EXPECT_TRUE(remains_of_flags(0x0000'0212, 0x0000'0202));
    EXPECT_TRUE(remains_of_flags(0x0100'0212, 0x0100'0202))
        << "a byte was written over an old interrupt frame";
    EXPECT_FALSE(remains_of_flags(0x0100'0212, 0x0000'0202)) << "which both did";
    EXPECT_FALSE(remains_of_flags(0x0100'0210, 0x0100'0200)) << "bit 1 is always set";
    EXPECT_FALSE(remains_of_flags(0x0000'022A, 0x0000'0222)) << "bits 3 and 5 never are";
    EXPECT_FALSE(remains_of_flags(0x0000'0202, 0x0000'0002)) << "the interrupt flag is never undefined";
}

// What once differed: cases that were reduced, each kept because it must not come back.
TEST(LockstepCase, OldOnesAreTheSameOnBoth) {
    ASSERT_EQ(translator::unavailable(), "");
    unsigned tried = 0;
    for (const auto& entry : std::filesystem::directory_iterator(CPU_TEST_FOLDER "/cases")) {
        std::ifstream file(entry.path());
        const std::string text(std::istreambuf_iterator<char>(file), {});
        const auto given = parse_case(text);
        ASSERT_TRUE(given) << entry.path() << ": " << given.error().message;
        for (const bool briefly : {true, false}) {
            const auto difference = try_case(*given, make_translating_leader, {1, briefly});
            ASSERT_TRUE(difference) << difference.error().message;
            EXPECT_FALSE(*difference) << entry.path() << ": " << (*difference)->report;
        }
        ++tried;
    }
    EXPECT_GT(tried, 0U);
}

} // namespace
} // namespace strata::cpu::lockstep
