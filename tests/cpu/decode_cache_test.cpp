#include "cpu/interpreter/decode_cache.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <vector>

namespace strata::cpu::interpreter {
namespace {

using Bytes = std::vector<std::uint8_t>;

class DecodeCacheTest : public testing::Test {
protected:
    // What is known of `bytes`; 0: nothing.
    [[nodiscard]] int value(unsigned mode, const Bytes& bytes) const {
        const int* found = cache_->find(mode, bytes);
        return found == nullptr ? 0 : *found;
    }

    std::unique_ptr<DecodeCache<int>> cache_ = std::make_unique<DecodeCache<int>>();
};

TEST_F(DecodeCacheTest, AnInstructionIsKnownByItsBytesAndTheMode) {
    const Bytes add_and_ret{0x01, 0xF8, 0xC3, 0x00, 0x00};
    EXPECT_EQ(value(2, add_and_ret), 0);
    cache_->add(2, add_and_ret, 2, 7);
    EXPECT_EQ(value(2, add_and_ret), 7);
    EXPECT_EQ(value(2, {0x01, 0xF8, 0xC3, 0x00, 0x99}), 7) << "what follows does not matter";
    EXPECT_EQ(value(1, add_and_ret), 0) << "another mode";
    EXPECT_EQ(value(2, {0x01, 0xF9, 0xC3, 0x00, 0x00}), 0) << "another instruction";
}

TEST_F(DecodeCacheTest, AnInstructionThatIsCutOffIsNotKnown) {
    const Bytes mov{0xB8, 1, 2, 3, 4};
    cache_->add(2, mov, 5, 7);
    EXPECT_EQ(value(2, {0xB8, 1, 2, 3}), 0);
    EXPECT_EQ(value(2, {0xB8}), 0);
    EXPECT_EQ(value(2, {}), 0);
}

TEST_F(DecodeCacheTest, AllBytesAreCompared) {
    for (std::uint8_t last = 0; last < 200; ++last) {
        cache_->add(2, Bytes{0xB8, 1, 2, 3, last}, 5, last + 1);
        EXPECT_EQ(value(2, {0xB8, 1, 2, 3, last}), last + 1);
        EXPECT_EQ(value(2, {0xB8, 1, 2, 3, static_cast<std::uint8_t>(last + 1)}), 0);
    }
}

} // namespace
} // namespace strata::cpu::interpreter
