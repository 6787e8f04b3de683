// The state that any number of commands share.
#include "instance/database.hpp"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <latch>
#include <thread>
#include <vector>

namespace strata::instance {
namespace {

class DatabaseTest : public ::testing::Test {
protected:
    DatabaseTest() {
        std::string name = (std::filesystem::temp_directory_path() / "database.XXXXXX").string();
        folder_ = mkdtemp(name.data());
    }

    ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path folder_;
};

// The first commands of a user: none finds it, each makes it.
TEST_F(DatabaseTest, ManyThatMakeItAtOneTimeAllHaveIt) {
    constexpr int rounds = 20, commands = 12;
    for (int round = 0; round < rounds; ++round) {
        const std::string path = folder_ / std::to_string(round);
        std::latch together(commands);
        std::atomic<int> good = 0;
        std::vector<std::jthread> threads;
        for (int i = 0; i < commands; ++i) {
            threads.emplace_back([&] {
                together.arrive_and_wait();
                const auto database = Database::open(
                    path, "CREATE TABLE IF NOT EXISTS a(x); CREATE INDEX IF NOT EXISTS b ON a(x);");
                EXPECT_TRUE(database) << database.error().message;
                good += database && database->prepare("INSERT INTO a VALUES (1)").run();
            });
        }
        threads.clear();
        EXPECT_EQ(good, commands);
    }
}

} // namespace
} // namespace strata::instance
