#include "base/large_pages.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <gtest/gtest.h>
#include <span>
#include <utility>

namespace strata {
namespace {

TEST(LargePages, AreAlignedAndZeroed) {
    constexpr std::size_t size = LargePages::alignment + 4096;
    const LargePages pages(size, "test");
    ASSERT_TRUE(pages);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages.data()) % LargePages::alignment, 0U);
    EXPECT_EQ(pages.size(), size);
    const std::span bytes(pages.data(), pages.size());
    EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; }));
    std::ranges::fill(bytes, std::byte{1}); // all of it is there
}

TEST(LargePages, AreWholePages) {
    const LargePages pages(5000, "test");
    ASSERT_TRUE(pages);
    EXPECT_EQ(pages.size(), 8192U);
}

TEST(LargePages, BelongToOne) {
    LargePages pages(4096, "test");
    std::byte* const data = pages.data();
    LargePages other = std::move(pages);
    EXPECT_FALSE(pages); // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(other.data(), data);
}

TEST(LargePages, MoreThanThereIs) {
    for (const std::size_t size : {~std::size_t{0}, std::size_t{1} << 62}) {
        errno = 0;
        EXPECT_FALSE(LargePages(size, "test"));
        EXPECT_EQ(errno, ENOMEM);
    }
}

} // namespace
} // namespace strata
