#include "instance/identity.hpp"

#include <gtest/gtest.h>

namespace strata::instance {
namespace {

// One in 281 random ones would be: 71 of these.
TEST(Identity, NoHostNameIsTakenForAnAddress) {
    for (int i = 0; i < 20'000; ++i) {
        const std::string id = random_id();
        ASSERT_EQ(id.size(), 64U);
        ASSERT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
        EXPECT_LT(id.find_first_of("abcdef"), short_id_digits) << id;
    }
}

} // namespace
} // namespace strata::instance
