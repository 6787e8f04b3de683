// Code that changes: by itself, by a device, by another processor.
#include "cpu_fixture.hpp"

#include <atomic>
#include <thread>

namespace strata::cpu {
namespace {

using testing::FakeBus;
using testing::Mode;
using testing::TestCpu;

TEST(CodeTest, AStoreChangesTheNextInstruction) {
    TestCpu test(Mode::long64);
    // mov byte [rip + 1], 0x42; mov al, 0x11 (becomes mov al, 0x42)
    test.run({0xC6, 0x05, 0x01, 0, 0, 0, 0x42, 0xB0, 0x11});
    EXPECT_EQ(test[x86::rax], 0x42U);
}

TEST(CodeTest, ARunningLoopSeesItsOwnChange) {
    TestCpu test(Mode::long64);
    // mov ecx, 3; l: add eax, 1; add byte [rip - 5 (the 1)], 1; dec ecx; jnz l
    test.run({0xB9, 3, 0, 0, 0, 0x83, 0xC0, 0x01, 0x80, 0x05, 0xF8, 0xFF, 0xFF, 0xFF, 0x01, 0xFF, 0xC9, 0x75,
              0xF2});
    EXPECT_EQ(test[x86::rax], 1U + 2U + 3U);
}

// So often that nothing is kept of the page any more.
TEST(CodeTest, ALoopSeesEachOfManyChanges) {
    TestCpu test(Mode::long64);
    // mov ecx, 100; l: as above
    test.run({0xB9, 100, 0, 0, 0, 0x83, 0xC0, 0x01, 0x80, 0x05, 0xF8, 0xFF, 0xFF, 0xFF, 0x01, 0xFF, 0xC9,
              0x75, 0xF2});
    EXPECT_EQ(test[x86::rax], 5050U);
}

TEST(CodeTest, AMovedConstantIsReadAfresh) {
    TestCpu test(Mode::long64);
    // mov ecx, 100; l: mov edx, 7; add eax, edx; add byte [rip - 12 (the 7)], 1; dec ecx; jnz l
    test.run({0xB9, 100,  0,    0,    0,    0xBA, 7,    0,    0,    0,    0x01, 0xD0,
              0x80, 0x05, 0xF3, 0xFF, 0xFF, 0xFF, 0x01, 0xFF, 0xC9, 0x75, 0xEE});
    EXPECT_EQ(test[x86::rax], 100U * 7 + 99U * 100 / 2);
}

TEST(RewrittenCode, IsReadAfreshForAWhile) {
    interpreter::RewrittenCode code;
    constexpr memory::GuestPhysical page = 0x5000, other = page + (64 << memory::page_shift);
    unsigned notes = 1;
    for (; !code.note(page); ++notes) {
        EXPECT_FALSE(code.is_fresh(page));
        ASSERT_LT(notes, 1000U);
    }
    EXPECT_GT(notes, 8U) << "patching now and then is nothing";
    EXPECT_FALSE(code.is_fresh(other));
    unsigned instructions = 0;
    for (; code.is_fresh(page); ++instructions) {
        ASSERT_LT(instructions, 1'000'000U);
    }
    EXPECT_GT(instructions, 1000U);
    EXPECT_FALSE(code.note(page)) << "counted from the start";
    EXPECT_FALSE(code.note(other)) << "in its place now";
    EXPECT_FALSE(code.is_fresh(page));
}

TEST(CodeTest, ADeviceWriteIsSeen) {
    TestCpu test(Mode::long64);
    test.run({0xB0, 0x11});
    EXPECT_EQ(test[x86::rax], 0x11U);
    test.write<std::uint8_t>(TestCpu::code_at + 1, 0x22);
    test.cpu->rip() = TestCpu::code_at;
    test.cpu->activity = x86::Activity::active;
    EXPECT_EQ(test.resume(), Exit::halt);
    EXPECT_EQ(test[x86::rax], 0x22U);
}

TEST(CodeTest, AnInstructionMayCrossPages) {
    TestCpu test(Mode::long64);
    constexpr std::uint64_t at = 0x2FFE;
    test.run({0xB8, 0x78, 0x56, 0x34, 0x12}, at); // mov eax, 0x12345678
    EXPECT_EQ(test[x86::rax], 0x12345678U);
    test.write<std::uint8_t>(0x3000, 0xAA); // in the second page
    test.cpu->rip() = at;
    test.cpu->activity = x86::Activity::active;
    EXPECT_EQ(test.resume(), Exit::halt);
    EXPECT_EQ(test[x86::rax], 0x1234AA78U);
}

TEST(CodeTest, AnInstructionOfSixteenBytesIsRefused) {
    TestCpu test(Mode::long64);
    test.catch_exceptions();
    std::vector<std::uint8_t> code(15, 0x66);
    code.push_back(0x90);
    test.run(code);
    EXPECT_EQ(test.caught(), 13U);
}

TEST(CodeTest, AWriteToCodeByAnotherProcessorIsSeen) {
    TestCpu test(Mode::long64);
    // A second processor on the same memory increments the immediate of the first one's `mov eax, imm32` and
    // then waits until the first has stored what it executed.
    VcpuConfig config;
    config.id = 1;
    config.count = 2;
    config.model = &test.cpu->model();
    FakeBus bus;
    interpreter::Cpu other(*test.shared, config, bus);
    x86::State state = test.cpu->state();
    constexpr std::uint64_t writer_at = 0x3000, flag_at = TestCpu::data_at, rounds = 2000;
    // l: mov eax, 0; mov [flag], eax; cmp eax, rounds; jb l; hlt
    const std::vector<std::uint8_t> reader{0xB8, 0, 0,    0,    0,    0x89, 0x04, 0x25, 0,    0,
                                           0x02, 0, 0x3D, 0xD0, 0x07, 0,    0,    0x72, 0xED, 0xF4};
    // mov ecx, 1; l: mov [code + 1], ecx; w: cmp [flag], ecx; jne w; inc ecx; cmp ecx, rounds; jbe l; hlt
    const std::vector<std::uint8_t> writer{0xB9, 1,    0,    0,    0,    0x89, 0x0C, 0x25, 0x01, 0x10, 0,
                                           0,    0x39, 0x0C, 0x25, 0,    0,    0x02, 0,    0x75, 0xF7, 0xFF,
                                           0xC1, 0x81, 0xF9, 0xD0, 0x07, 0,    0,    0x76, 0xE6, 0xF4};
    test.write_bytes(TestCpu::code_at, reader);
    test.write_bytes(writer_at, writer);
    state.rip = writer_at;
    other.set_state(state);
    test.cpu->rip() = TestCpu::code_at;
    std::thread second([&] { EXPECT_EQ(other.run(), Exit::halt); });
    EXPECT_EQ(test.resume(), Exit::halt);
    second.join();
    EXPECT_EQ(test.read<std::uint32_t>(flag_at), rounds);
}

TEST(CodeTest, LockedIncrementsOfTwoProcessorsAddUp) {
    TestCpu test(Mode::long64);
    VcpuConfig config;
    config.id = 1;
    config.count = 2;
    config.model = &test.cpu->model();
    FakeBus bus;
    interpreter::Cpu other(*test.shared, config, bus);
    // mov ecx, 100000; l: lock inc dword [0x20000]; lock add word [0x20007], 1 (split); dec ecx; jnz l; hlt
    const std::vector<std::uint8_t> code{0xB9, 0xA0, 0x86, 0x01, 0,    0xF0, 0xFF, 0x04, 0x25, 0,
                                         0,    0x02, 0,    0x66, 0xF0, 0x83, 0x04, 0x25, 0x07, 0,
                                         0x02, 0,    0x01, 0xFF, 0xC9, 0x75, 0xEA, 0xF4};
    test.write_bytes(TestCpu::code_at, code);
    other.set_state(test.cpu->state());
    std::thread second([&] { EXPECT_EQ(other.run(), Exit::halt); });
    EXPECT_EQ(test.resume(), Exit::halt);
    second.join();
    EXPECT_EQ(test.read<std::uint32_t>(0x20000), 200'000U);
    EXPECT_EQ(test.read<std::uint16_t>(0x20007), static_cast<std::uint16_t>(200'000));
}

} // namespace
} // namespace strata::cpu
