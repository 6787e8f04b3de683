#include "memory/guest_memory.hpp"

#include <array>
#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace strata::memory {
namespace {

constexpr std::uint64_t mib = 1 << 20;

TEST(GuestMemoryTest, LeavesAHoleBelowFourGigabytes) {
    const auto memory = GuestMemory::create(8 * mib, 4 * mib).value();
    ASSERT_EQ(memory->slots().size(), 2U);
    EXPECT_NE(memory->host(4 * mib - 1, 1), nullptr);
    EXPECT_EQ(memory->host(4 * mib, 1), nullptr);
    EXPECT_NE(memory->host(1ULL << 32, 4 * mib), nullptr);
    EXPECT_EQ(memory->host((1ULL << 32) + 4 * mib, 1), nullptr);
}

TEST(GuestMemoryTest, RefusesSizesThatAreNotPages) {
    EXPECT_FALSE(GuestMemory::create(0));
    EXPECT_FALSE(GuestMemory::create(4097));
}

TEST(GuestMemoryTest, RefusesAccessesThatLeaveTheSlot) {
    const auto memory = GuestMemory::create(mib).value();
    std::array<char, 8> bytes{};
    EXPECT_TRUE(memory->write(mib - 8, "strata!", 8));
    EXPECT_TRUE(memory->read(mib - 8, bytes.data(), 8));
    EXPECT_STREQ(bytes.data(), "strata!");
    EXPECT_FALSE(memory->write(mib - 7, "strata!", 8));
    EXPECT_FALSE(memory->read(~std::uint64_t{0}, bytes.data(), 8));
    EXPECT_EQ(memory->host(mib - 4, ~std::uint64_t{0}), nullptr);
}

TEST(GuestMemoryTest, LogsEveryWrittenPageOnce) {
    const auto memory = GuestMemory::create(mib).value();
    std::vector<char> data(2 * page_size);
    ASSERT_TRUE(memory->write(page_size - 1, data.data(), page_size + 2)); // touches three pages
    ASSERT_TRUE(memory->write(page_size, data.data(), 1));
    EXPECT_TRUE(memory->is_dirty(page_size));
    EXPECT_EQ(memory->take_dirty(), (std::vector<GuestPhysical>{0, page_size, 2 * page_size}));
    EXPECT_TRUE(memory->take_dirty().empty());
}

struct Recorder : CodeObserver {
    std::vector<std::pair<GuestPhysical, std::uint64_t>> writes;

    void code_written(GuestPhysical address, std::uint64_t size) override {
        writes.emplace_back(address, size);
    }
};

TEST(GuestMemoryTest, TellsTheObserverOfWritesToCodePagesOnly) {
    const auto memory = GuestMemory::create(mib).value();
    Recorder recorder;
    memory->set_code_observer(&recorder);
    memory->set_code(page_size, true);
    ASSERT_TRUE(memory->write(page_size - 2, "abcd", 4));
    ASSERT_TRUE(memory->write(4 * page_size, "abcd", 4));
    memory->set_code(page_size, false);
    ASSERT_TRUE(memory->write(page_size, "abcd", 4));
    EXPECT_EQ(recorder.writes, (std::vector<std::pair<GuestPhysical, std::uint64_t>>{{page_size, 2}}));
}

} // namespace
} // namespace strata::memory
