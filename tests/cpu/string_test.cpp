// Repetitions of string instructions that are done many elements at a time.
#include "cpu_fixture.hpp"

#include <algorithm>
#include <vector>

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;

class LongFill : public ::testing::TestWithParam<std::tuple<unsigned, unsigned>> {};

// So much is written past the caches, whatever it begins at: every byte is the element's, and none beside.
TEST_P(LongFill, WritesEveryElementAndNothingElse) {
    const auto [size, misaligned] = GetParam();
    constexpr std::uint64_t bytes = 2 << 20, value = 0x1122'3344'5566'7788;
    const std::uint64_t from = TestCpu::data_at + misaligned;
    TestCpu test(Mode::long64);
    test[x86::rdi] = from;
    test[x86::rcx] = bytes / size;
    test[x86::rax] = value;
    switch (size) {
    case 1: test.run({0xF3, 0xAA}); break;
    case 2: test.run({0xF3, 0x66, 0xAB}); break;
    case 4: test.run({0xF3, 0xAB}); break;
    default: test.run({0xF3, 0x48, 0xAB}); break;
    }
    EXPECT_EQ(test[x86::rcx], 0U);
    EXPECT_EQ(test[x86::rdi], from + bytes);
    std::vector<std::uint8_t> written(bytes + 2);
    ASSERT_TRUE(test.memory->read(from - 1, written.data(), written.size()));
    EXPECT_EQ(written.front(), 0);
    EXPECT_EQ(written.back(), 0);
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < bytes; ++i) {
        wrong += written[i + 1] != static_cast<std::uint8_t>(value >> i % size * 8);
    }
    EXPECT_EQ(wrong, 0U);
}

INSTANTIATE_TEST_SUITE_P(Sizes, LongFill,
                         ::testing::Combine(::testing::Values(1U, 2U, 4U, 8U),
                                            ::testing::Values(0U, 1U, 8U, 15U)));

// Memory that is not there from the first element on: nothing can be done directly, one element faults.
TEST(Fill, FaultsWhereNothingIsMapped) {
    constexpr std::uint64_t end = std::uint64_t{1} << 30; // of what is mapped
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{0x1122'3344'5566'7788}}) {
        for (const std::uint64_t from : {end, end + 0x123'4000}) {
            TestCpu test(Mode::long64);
            test.catch_exceptions();
            test[x86::rdi] = from;
            test[x86::rcx] = 36;
            test[x86::rax] = value;
            test.run({0xF3, 0x48, 0xAB});
            EXPECT_EQ(test.caught(), 14U);
            EXPECT_EQ(test.cpu->system.cr2, from);
            EXPECT_EQ(test[x86::rdi], from);
            EXPECT_EQ(test[x86::rcx], 36U);
        }
    }
}

} // namespace
} // namespace strata::cpu
