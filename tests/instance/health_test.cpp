#include "instance/health.hpp"

#include <gtest/gtest.h>

namespace strata::instance {
namespace {

const HealthCheck check{.test = {"CMD", "true"}, .retries = 2};

std::string status_after(Health& health, int exit_code, bool is_starting = false) {
    add_checkup(health, {.exit_code = exit_code}, check, is_starting);
    return health.status;
}

TEST(HealthState, FollowsWhatChecksFind) {
    Health health;
    EXPECT_EQ(status_after(health, 1), "starting");
    EXPECT_EQ(status_after(health, 1), "unhealthy"); // twice in a row
    EXPECT_EQ(status_after(health, 0), "healthy");   // once is enough
    EXPECT_EQ(health.failures, 0);
    EXPECT_EQ(status_after(health, -1), "healthy");
    EXPECT_EQ(status_after(health, 0), "healthy");
    EXPECT_EQ(status_after(health, 1), "healthy");
    EXPECT_EQ(status_after(health, 1), "unhealthy");
    EXPECT_EQ(health.failures, 2);
}

TEST(HealthState, FailuresCountOnceItWasWell) {
    Health health;
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(status_after(health, 1, true), "starting");
    }
    EXPECT_EQ(health.failures, 0);
    EXPECT_EQ(status_after(health, 0, true), "healthy");
    status_after(health, 1, true);
    EXPECT_EQ(status_after(health, 1, true), "unhealthy");
}

TEST(HealthState, RemembersTheLastFive) {
    Health health;
    for (int i = 0; i < 7; ++i) {
        status_after(health, i);
    }
    ASSERT_EQ(health.log.size(), 5U);
    EXPECT_EQ(health.log.front().exit_code, 2);
    EXPECT_EQ(health.log.back().exit_code, 6);
}

} // namespace
} // namespace strata::instance
