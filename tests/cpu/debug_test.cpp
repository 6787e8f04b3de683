// Single steps and breakpoints, of the guest and of the debugger.
#include "cpu_fixture.hpp"

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;

constexpr unsigned debug_exception = 1;

class DebugTest : public ::testing::Test {
protected:
    DebugTest() : test(Mode::long64) { test.catch_exceptions(); }

    // RIP in the handler's frame.
    [[nodiscard]] std::uint64_t frame_rip() { return test.read<std::uint64_t>(test[x86::rsp]); }

    // DR7 with breakpoint 0 enabled: condition (0 execute, 1 write, 2 port, 3 access), length code.
    void arm(std::uint64_t address, unsigned condition, unsigned length) {
        test.cpu->system.dr[0] = address;
        test.cpu->system.dr7 = 0x402 | condition << 16 | length << 18;
        test.cpu->mode_changed();
    }

    TestCpu test;
};

TEST_F(DebugTest, TheTrapFlagStopsAfterOneInstruction) {
    test.cpu->set_rflags(x86::flag::fixed | x86::flag::tf);
    test.run({0xFF, 0xC0, 0xFF, 0xC0}); // inc eax; inc eax
    EXPECT_EQ(test.caught(), debug_exception);
    EXPECT_EQ(test[x86::rax], 1U);
    EXPECT_EQ(frame_rip(), TestCpu::code_at + 2);
    EXPECT_EQ(test.cpu->system.dr6 & 0xE00F, 0x4000U);
}

TEST_F(DebugTest, TheTrapFlagStopsEachIteration) {
    test.cpu->set_rflags(x86::flag::fixed | x86::flag::tf);
    test[x86::rcx] = 3;
    test[x86::rdi] = TestCpu::data_at;
    test.run({0xF3, 0xAA}); // rep stosb
    EXPECT_EQ(test.caught(), debug_exception);
    EXPECT_EQ(test[x86::rcx], 2U);
    EXPECT_EQ(frame_rip(), TestCpu::code_at);
}

TEST_F(DebugTest, AnExecutionBreakpointStopsBeforeItsInstruction) {
    arm(TestCpu::code_at + 2, 0, 0);
    test.run({0xFF, 0xC0, 0xFF, 0xC0, 0xFF, 0xC0});
    EXPECT_EQ(test.caught(), debug_exception);
    EXPECT_EQ(test[x86::rax], 1U);
    EXPECT_EQ(frame_rip(), TestCpu::code_at + 2);
    EXPECT_EQ(test.cpu->system.dr6 & 0xE00F, 1U);
}

TEST_F(DebugTest, TheResumeFlagPassesAnExecutionBreakpoint) {
    arm(TestCpu::code_at, 0, 0);
    test.cpu->set_rflags(x86::flag::fixed | x86::flag::rf);
    test.run({0xFF, 0xC0, 0xFF, 0xC0});
    EXPECT_FALSE(test.caught());
    EXPECT_EQ(test[x86::rax], 2U);
    EXPECT_EQ(test.cpu->rflags() & x86::flag::rf, 0U);
}

TEST_F(DebugTest, AWriteBreakpointStopsAfterTheWrite) {
    arm(TestCpu::data_at + 4, 1, 3); // four bytes
    test[x86::rbx] = TestCpu::data_at;
    test[x86::rax] = 0xAB;
    test.run({0x8B, 0x4B, 0x04, 0x88, 0x43, 0x07, 0xFF, 0xC0}); // mov ecx, [rbx+4]; mov [rbx+7], al; inc eax
    EXPECT_EQ(test.caught(), debug_exception);
    EXPECT_EQ(frame_rip(), TestCpu::code_at + 6);
    EXPECT_EQ(test.read<std::uint8_t>(TestCpu::data_at + 7), 0xAB);
    EXPECT_EQ(test.cpu->system.dr6 & 0xE00F, 1U);
}

TEST_F(DebugTest, APortBreakpointNeedsDebugExtensions) {
    arm(0x80, 2, 0);
    test.run({0xE6, 0x80}); // out 0x80, al
    EXPECT_FALSE(test.caught());
    test.cpu->system.cr4 |= x86::cr4::de;
    test.run({0xE6, 0x80});
    EXPECT_EQ(test.caught(), debug_exception);
}

TEST_F(DebugTest, TheDebuggerStopsAtAnAddressAndGoesOn) {
    test.cpu->set_debug({.breakpoints = {TestCpu::code_at + 2}});
    const std::vector<std::uint8_t> code{0xFF, 0xC0, 0xFF, 0xC0, 0xFF, 0xC0, 0xF4};
    test.write_bytes(TestCpu::code_at, code);
    EXPECT_EQ(test.resume(), Exit::debug);
    EXPECT_EQ(test.cpu->debug_event().kind, DebugEvent::Kind::breakpoint);
    EXPECT_EQ(test.cpu->rip(), TestCpu::code_at + 2);
    EXPECT_EQ(test[x86::rax], 1U);
    EXPECT_EQ(test.resume(), Exit::halt);
    EXPECT_EQ(test[x86::rax], 3U);
}

TEST_F(DebugTest, TheDebuggerSteps) {
    test.cpu->set_debug({.single_step = true});
    const std::vector<std::uint8_t> code{0xFF, 0xC0, 0xFF, 0xC0, 0xF4};
    test.write_bytes(TestCpu::code_at, code);
    EXPECT_EQ(test.resume(), Exit::debug);
    EXPECT_EQ(test.cpu->rip(), TestCpu::code_at + 2);
    EXPECT_EQ(test.resume(), Exit::debug);
    EXPECT_EQ(test[x86::rax], 2U);
}

TEST_F(DebugTest, TheDebuggerWatchesData) {
    test.cpu->set_debug({.watches = {{TestCpu::data_at, 8, false, true}}});
    test[x86::rbx] = TestCpu::data_at;
    const std::vector<std::uint8_t> code{0x8A, 0x03, 0x88, 0x43, 0x01, 0xFF, 0xC0, 0xF4};
    test.write_bytes(TestCpu::code_at, code);
    EXPECT_EQ(test.resume(), Exit::debug);
    EXPECT_EQ(test.cpu->rip(), TestCpu::code_at + 5);
    EXPECT_EQ(test.cpu->debug_event().kind, DebugEvent::Kind::watch);
    EXPECT_EQ(test.cpu->debug_event().address, TestCpu::data_at + 1);
    EXPECT_TRUE(test.cpu->debug_event().write);
}

} // namespace
} // namespace strata::cpu
