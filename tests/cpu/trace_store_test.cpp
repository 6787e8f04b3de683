// What is kept of translations: found again only for what they were made of, bounded, and read from a file
// only if each number in it is within its limits.
#include "cpu/translation_cache.hpp"
#include "cpu/translator/listing.hpp"
#include "cpu/translator/trace_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace strata::cpu::translator {
namespace {

using Bytes = std::vector<std::uint8_t>;

class TraceStoreTest : public ::testing::Test {
protected:
    static constexpr std::uint64_t code_at = 0x40'1230;

    // mov eax, NUMBER; push rax; jz +5; call +0x1000; ret
    static Bytes numbered(std::uint32_t number) {
        Bytes code{0xB8, 0, 0, 0, 0, 0x50, 0x74, 0x05, 0xE8, 0x00, 0x10, 0x00, 0x00, 0xC3};
        std::memcpy(code.data() + 1, &number, sizeof number);
        return code;
    }

    CompiledTrace made_of(const Bytes& code) {
        return listing_.copies(code, code_at, {.user = true}, {}, nullptr).trace.value();
    }

    // As Listing keys it.
    static TraceKey key() { return {.offset = code_at % memory::page_size}; }

    static std::array<std::byte, memory::page_size> page_with(const Bytes& code) {
        std::array<std::byte, memory::page_size> page{};
        std::memcpy(page.data() + code_at % memory::page_size, code.data(), code.size());
        page[code_at % memory::page_size + code.size()] = std::byte{0xF4}; // as Listing ends it
        return page;
    }

    static TraceStore::Found find(TraceStore& store, const TraceKey& key, const Bytes& code) {
        return store.find(key, std::span(code).first(1), page_with(code).data()); // as Listing notes its head
    }

    Bytes one_ = numbered(1), two_ = numbered(2);
    const x86::Model& model_ = *x86::find_model("max").value();
    Listing listing_{model_, model_};
};

TEST_F(TraceStoreTest, FindsWhatIsMadeOfTheSame) {
    TraceStore store(1 << 20);
    store.add(made_of(one_));
    const auto found = find(store, key(), one_);
    ASSERT_NE(found.trace, nullptr);
    EXPECT_FALSE(found.loaded);
    EXPECT_EQ(*found.trace, made_of(one_));
    EXPECT_EQ(find(store, key(), two_).trace, nullptr) << "another number is loaded";
    Bytes changed = one_;
    changed[12] = 0x01; // of the call's distance
    EXPECT_EQ(find(store, key(), changed).trace, nullptr) << "the last byte of all is another";
    store.add(made_of(two_));
    EXPECT_EQ(*find(store, key(), two_).trace, made_of(two_));
    EXPECT_EQ(*find(store, key(), one_).trace, made_of(one_));
    EXPECT_EQ(store.added(), 2U);
    store.add(made_of(two_));
    EXPECT_EQ(store.added(), 2U) << "it was there";
}

TEST_F(TraceStoreTest, FindsNothingUnderAnotherKey) {
    TraceStore store(1 << 20);
    store.add(made_of(one_));
    for (unsigned field = 0; field < 8; ++field) {
        TraceKey other = key();
        switch (field) {
        case 0: ++other.models; break;
        case 1: ++other.mode; break;
        case 2: other.plain = 1; break;
        case 3: other.unrolled = 1; break;
        case 4: other.smap = 1; break;
        case 5: other.counted = 1; break;
        default: other.offset = static_cast<std::uint16_t>(other.offset + field); break;
        }
        EXPECT_EQ(find(store, other, one_).trace, nullptr) << field;
    }
}

TEST_F(TraceStoreTest, KnowsProcessorsApart) {
    const x86::Model& other = *x86::find_model("x86-64-v2").value();
    const std::array<std::uint8_t, 100> code{};
    Stubs stubs, longer;
    stubs.enter = longer.enter = code.data();
    stubs.walk_region = &code[50];
    longer.walk_region = &code[60];
    EXPECT_EQ(fingerprint(model_, model_, stubs), fingerprint(model_, model_, stubs));
    EXPECT_NE(fingerprint(model_, model_, stubs), fingerprint(other, model_, stubs));
    EXPECT_NE(fingerprint(other, model_, stubs), fingerprint(model_, other, stubs));
    EXPECT_NE(fingerprint(model_, model_, stubs), fingerprint(model_, model_, longer));
}

TEST_F(TraceStoreTest, WhatWasNotAskedForMakesRoom) {
    const std::size_t size = made_of(one_).bytes().size();
    TraceStore store(size * 8);
    for (std::uint32_t number = 0; number < 100; ++number) {
        store.add(made_of(numbered(number)));
        EXPECT_LE(store.bytes(), size * 8);
        ASSERT_NE(find(store, key(), numbered(0)).trace, nullptr) << "it was asked for all the time";
    }
    EXPECT_NE(find(store, key(), numbered(99)).trace, nullptr);
    EXPECT_EQ(find(store, key(), numbered(50)).trace, nullptr);
}

TEST_F(TraceStoreTest, AnyThreadMayAskAndAdd) {
    std::vector<CompiledTrace> traces;
    for (std::uint32_t number = 0; number < 64; ++number) {
        traces.push_back(made_of(numbered(number)));
    }
    TraceStore store(traces[0].bytes().size() * 32);
    const auto work = [&] {
        for (unsigned round = 0; round < 50; ++round) {
            for (std::uint32_t number = 0; number < traces.size(); ++number) {
                if (const auto found = find(store, key(), numbered(number)); found.trace != nullptr) {
                    EXPECT_EQ(*found.trace, traces[number]);
                } else {
                    store.add(traces[number]);
                }
            }
        }
    };
    std::thread other(work);
    work();
    other.join();
}

// ---- files ----

class TraceFileTest : public TraceStoreTest {
protected:
    void SetUp() override {
        TraceStore store(1 << 20);
        store.add(made_of(one_));
        store.add(made_of(two_));
        file_ = write_trace_file(build_, store.all());
    }

    std::string refusal(std::span<const std::byte> file) const {
        const auto traces = read_trace_file(build_, file);
        return traces ? "" : traces.error().message;
    }

    BuildIdentity build_{1, 2, 3};
    std::vector<std::byte> file_;
};

TEST_F(TraceFileTest, GivesBackWhatWasWritten) {
    const auto traces = read_trace_file(build_, file_);
    ASSERT_TRUE(traces);
    ASSERT_EQ(traces->size(), 2U);
    EXPECT_EQ((*traces)[0], made_of(one_));
    EXPECT_EQ((*traces)[1], made_of(two_));
}

TEST_F(TraceFileTest, RefusesWhatAnotherBuildHasMade) {
    EXPECT_EQ(read_trace_file({3, 2, 1}, file_).error().message, "is of another build of strata");
    EXPECT_TRUE(build_identity());
}

TEST_F(TraceFileTest, RefusesWhatIsTornOrTamperedWith) {
    for (std::size_t size = 0; size < file_.size(); ++size) {
        ASSERT_NE(refusal(std::span(file_).first(size)), "") << size;
    }
    for (std::size_t i = 0; i < file_.size(); ++i) {
        file_[i] ^= std::byte{0x10};
        ASSERT_NE(refusal(file_), "") << i;
        file_[i] ^= std::byte{0x10};
    }
    EXPECT_EQ(refusal(file_), "");
    file_.push_back(std::byte{0});
    EXPECT_EQ(refusal(file_), "is damaged");
}

// Whatever numbers pass the checks, nothing outside the trace is touched when it is made good (sanitizers
// look on).
TEST_F(TraceFileTest, NumbersWithinTheirLimitsDoNoHarm) {
    std::mt19937 random(20261129); // the same each time
    const CompiledTrace trace = made_of(one_);
    unsigned passed = 0;
    for (unsigned i = 0; i < 20'000; ++i) {
        std::vector<std::byte> bytes(trace.bytes().begin(), trace.bytes().end());
        for (auto changes = 1 + random() % 3; changes > 0; --changes) {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        if (const auto changed = CompiledTrace::parse(bytes)) {
            ++passed;
            static_cast<void>(listing_.takes(*changed));
        }
    }
    EXPECT_GT(passed, 1000U);
}

// ---- on disk ----

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
