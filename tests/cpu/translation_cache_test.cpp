// A file of translations that machines share, one after the other or at the same time: what is kept in it,
// for how long, and what is refused.
#include "cpu/translation_cache.hpp"
#include "trace_fixture.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace strata::cpu::translator {
namespace {

class TranslationCacheTest : public TraceStoreTest {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("strata-cache." + std::to_string(::getpid()));
        std::filesystem::create_directory(folder_);
        path_ = folder_ / "cache";
    }

    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::unique_ptr<TranslationCache> open() { return TranslationCache::open(path_).value(); }

    std::string refusal() {
        const auto cache = TranslationCache::open(path_);
        return cache ? "" : cache.error().message;
    }

    std::filesystem::path folder_;
    std::string path_;
};

TEST_F(TranslationCacheTest, KeepsWhatWasAdded) {
    {
        const auto cache = open();
        EXPECT_EQ(cache->passed_over(), "");
        cache->store().add(made_of(one_));
        ASSERT_TRUE(cache->save());
    }
    struct stat status{};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    const auto cache = open();
    EXPECT_EQ(cache->passed_over(), "");
    EXPECT_TRUE(find(cache->store(), key(), one_).loaded);
    EXPECT_EQ(find(cache->store(), key(), two_).trace, nullptr);
}

TEST_F(TranslationCacheTest, AddsToWhatIsThere) {
    for (const Bytes& code : {one_, two_}) {
        const auto cache = open();
        cache->store().add(made_of(code));
        ASSERT_TRUE(cache->save());
    }
    const auto cache = open();
    EXPECT_TRUE(find(cache->store(), key(), one_).loaded);
    EXPECT_TRUE(find(cache->store(), key(), two_).loaded);
}

TEST_F(TranslationCacheTest, TwoMachinesLoseNothing) {
    const auto first = open(), second = open();
    first->store().add(made_of(one_));
    second->store().add(made_of(two_));
    ASSERT_TRUE(first->save());
    ASSERT_TRUE(second->save());
    const auto third = open();
    EXPECT_TRUE(find(third->store(), key(), one_).loaded);
    EXPECT_TRUE(find(third->store(), key(), two_).loaded);
}

// Each machine has code of its own, as a kernel that lies elsewhere each time, and code that all have.
TEST_F(TranslationCacheTest, WhatNoLaterMachineAsksForGoes) {
    for (std::uint32_t machine = 0; machine < 20; ++machine) {
        const auto cache = open();
        if (find(cache->store(), key(), one_).trace == nullptr) {
            EXPECT_EQ(machine, 0U);
            cache->store().add(made_of(one_));
        }
        cache->store().add(made_of(numbered(100 + machine)));
        ASSERT_TRUE(cache->save());
    }
    const auto cache = open();
    EXPECT_EQ(cache->store().to_keep().size(), TraceStore::end_of_life - TraceStore::age_of_new)
        << "what all have, and of the last three machines what has a chance yet";
    EXPECT_NE(find(cache->store(), key(), one_).trace, nullptr);
    EXPECT_NE(find(cache->store(), key(), numbered(119)).trace, nullptr);
    EXPECT_EQ(find(cache->store(), key(), numbered(100)).trace, nullptr);
}

// Which do not translate anything, while another kind of machine does.
TEST_F(TranslationCacheTest, MachinesThatFindEverythingKeepIt) {
    for (std::uint32_t machine = 0; machine < 20; ++machine) {
        const auto cache = open();
        if (machine % 2 == 1) {
            cache->store().add(made_of(numbered(100 + machine)));
        } else if (machine == 0) {
            cache->store().add(made_of(one_));
        } else {
            EXPECT_NE(find(cache->store(), key(), one_).trace, nullptr) << machine;
        }
        ASSERT_TRUE(cache->save());
    }
}

// A machine that began before writes it last: what has gone from the file meanwhile does not come back.
TEST_F(TranslationCacheTest, WhatHasGoneDoesNotComeBack) {
    {
        const auto cache = open();
        cache->store().add(made_of(one_));
        ASSERT_TRUE(cache->save());
    }
    const auto old = open();
    for (std::uint32_t machine = 0; machine < TraceStore::end_of_life; ++machine) {
        const auto cache = open();
        cache->store().add(made_of(numbered(100 + machine)));
        ASSERT_TRUE(cache->save());
    }
    old->store().add(made_of(two_));
    ASSERT_TRUE(old->save());
    const auto cache = open();
    EXPECT_EQ(find(cache->store(), key(), one_).trace, nullptr);
    EXPECT_NE(find(cache->store(), key(), two_).trace, nullptr);
}

// Two machines with two processors each, which end again and again.
TEST_F(TranslationCacheTest, MachinesShareItAtTheSameTime) {
    std::vector<CompiledTrace> traces;
    for (std::uint32_t number = 0; number < 32; ++number) {
        traces.push_back(made_of(numbered(number)));
    }
    const auto machine = [&] {
        for (unsigned boot = 0; boot < 10; ++boot) {
            const auto cache = open();
            EXPECT_EQ(cache->passed_over(), "");
            const auto work = [&] {
                for (std::uint32_t number = 0; number < traces.size(); ++number) {
                    if (find(cache->store(), key(), numbered(number)).trace == nullptr) {
                        cache->store().add(traces[number]);
                    }
                }
            };
            const std::jthread first(work), second(work);
            EXPECT_TRUE(cache->save()); // of what there is by then
        }
    };
    {
        const std::jthread one(machine), other(machine);
    }
    const auto cache = open();
    EXPECT_EQ(cache->passed_over(), "");
}

TEST_F(TranslationCacheTest, WhatIsDamagedIsMadeAnew) {
    {
        const auto cache = open();
        cache->store().add(made_of(one_));
        ASSERT_TRUE(cache->save());
    }
    std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
    {
        const auto cache = open();
        EXPECT_NE(cache->passed_over().find("is damaged: it is not used, and made anew"), std::string::npos);
        EXPECT_EQ(find(cache->store(), key(), one_).trace, nullptr);
        cache->store().add(made_of(two_));
        ASSERT_TRUE(cache->save());
    }
    const auto cache = open();
    EXPECT_EQ(cache->passed_over(), "");
    EXPECT_TRUE(find(cache->store(), key(), two_).loaded);
}

TEST_F(TranslationCacheTest, NothingElseIsOverwritten) {
    std::ofstream(path_) << "somebody's text";
    EXPECT_NE(refusal().find("would be overwritten"), std::string::npos);
    std::filesystem::remove(path_);
    std::filesystem::create_directory(path_);
    EXPECT_NE(refusal(), "");
}

TEST_F(TranslationCacheTest, OthersMustNotWriteToIt) {
    static_cast<void>(open());
    for (const mode_t mode : {0620U, 0602U}) {
        ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
        EXPECT_NE(refusal().find("others may write to"), std::string::npos);
    }
    ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
    EXPECT_EQ(refusal(), "");
    if (::geteuid() == 0) {
        ASSERT_EQ(::chown(path_.c_str(), 1, 0), 0);
        EXPECT_NE(refusal().find("belongs to another user"), std::string::npos);
    }
}

} // namespace
} // namespace strata::cpu::translator
