// The loop itself: code runs in every mode.
#include "cpu_fixture.hpp"

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;

TEST(RunTest, AddsInRealMode) {
    TestCpu test(Mode::real16);
    test.run({0xB8, 0x34, 0x12, 0x05, 0x11, 0x11}); // mov ax, 0x1234; add ax, 0x1111
    EXPECT_EQ(test[x86::rax], 0x2345U);
}

TEST(RunTest, LoopsInProtectedMode) {
    TestCpu test(Mode::protected32);
    // mov ecx, 1000; xor eax, eax; l: add eax, ecx; dec ecx; jnz l
    test.run({0xB9, 0xE8, 0x03, 0, 0, 0x31, 0xC0, 0x01, 0xC8, 0x49, 0x75, 0xFB});
    EXPECT_EQ(test[x86::rax], 500500U);
}

TEST(RunTest, CallsAndStoresInLongMode) {
    TestCpu test(Mode::long64);
    // call f; jmp end; f: mov [0x20000], rsp; ret; end:
    test.run({0xE8, 0x02, 0, 0, 0, 0xEB, 0x09, 0x48, 0x89, 0x24, 0x25, 0, 0, 0x02, 0, 0xC3});
    EXPECT_EQ(test.read<std::uint64_t>(0x20000), TestCpu::stack_top - 8);
    EXPECT_EQ(test[x86::rsp], TestCpu::stack_top);
}

TEST(RunTest, AbsoluteOffsetsAreUnsigned) {
    TestCpu real(Mode::real16);
    real.write<std::uint16_t>(0x9000, 0xBEEF);
    real.run({0xA1, 0x00, 0x90}); // mov ax, [0x9000]
    EXPECT_EQ(real[x86::rax], 0xBEEFU);

    TestCpu flat(Mode::protected32);
    flat.bus.mmio[0xF000'0000] = 0x1234'5678;
    flat.run({0xA1, 0, 0, 0, 0xF0}); // mov eax, [0xF0000000]
    EXPECT_EQ(flat[x86::rax], 0x1234'5678U);
}

} // namespace
} // namespace strata::cpu
