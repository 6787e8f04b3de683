// What is kept of translations: found again only for what they were made of, bounded, and read from a file
// only if each number in it is within its limits.
#include "cpu/translator/trace_file.hpp"
#include "trace_fixture.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <thread>

namespace strata::cpu::translator {
namespace {

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

TEST_F(TraceStoreTest, WhatIsKeptGrowsOlderUntilItIsAskedFor) {
    TraceStore store(1 << 20);
    for (const auto& [code, age] : {std::pair{one_, 7U}, {two_, 2U}, {numbered(3), 7U}, {numbered(4), 3U}}) {
        store.load({std::make_shared<const CompiledTrace>(made_of(code)), age});
    }
    EXPECT_FALSE(store.has_news());
    EXPECT_NE(find(store, key(), numbered(4)).trace, nullptr);
    EXPECT_FALSE(store.has_news()) << "it is young";
    EXPECT_NE(find(store, key(), one_).trace, nullptr);
    EXPECT_TRUE(store.has_news()) << "it would be too old next time";
    const auto kept = store.to_keep();
    ASSERT_EQ(kept.size(), 3U) << "one is too old";
    EXPECT_EQ(*kept[0].trace, made_of(two_)) << "the oldest go first";
    EXPECT_EQ(kept[0].age, 3U);
    EXPECT_EQ(*kept[1].trace, made_of(one_));
    EXPECT_EQ(kept[1].age, 0U);
    EXPECT_EQ(*kept[2].trace, made_of(numbered(4)));
    EXPECT_EQ(kept[2].age, 0U);
    store.forget_unused();
    EXPECT_EQ(store.to_keep().size(), 2U);
    EXPECT_EQ(find(store, key(), two_).trace, nullptr);
    EXPECT_EQ(store.bytes(), 2 * made_of(one_).bytes().size());
}

// Some ask and add, so that there is never room enough; others meanwhile do what files need.
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
    const auto keep = [&] {
        for (unsigned round = 0; round < 50; ++round) {
            const auto file = write_trace_file({}, store.to_keep());
            auto kept = read_trace_file({}, file);
            ASSERT_TRUE(kept) << kept.error().message;
            store.forget_unused();
            std::ranges::for_each(*kept, [&](TraceStore::Kept& one) { store.load(std::move(one)); });
            EXPECT_LE(store.bytes(), traces[0].bytes().size() * 32);
            static_cast<void>(store.has_news() || store.added() == 0);
        }
    };
    std::vector<std::jthread> others;
    others.emplace_back(work);
    others.emplace_back(keep);
    others.emplace_back(keep);
    work();
}

// ---- files ----

class TraceFileTest : public TraceStoreTest {
protected:
    void SetUp() override {
        TraceStore store(1 << 20);
        store.add(made_of(one_));
        store.add(made_of(two_));
        file_ = write_trace_file(build_, store.to_keep());
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
    EXPECT_EQ(*(*traces)[0].trace, made_of(one_));
    EXPECT_EQ(*(*traces)[1].trace, made_of(two_));
}

TEST_F(TraceFileTest, GivesBackAges) {
    TraceStore store(1 << 20);
    store.load({std::make_shared<const CompiledTrace>(made_of(one_)), 3});
    const auto kept = store.to_keep();
    const auto traces = read_trace_file(build_, write_trace_file(build_, kept));
    ASSERT_TRUE(traces);
    ASSERT_EQ(traces->size(), 1U);
    EXPECT_EQ((*traces)[0].age, 4U);
    const auto content = [&](std::uint32_t age) {
        const auto file = write_trace_file(build_, std::array{TraceStore::Kept{kept[0].trace, age}});
        return std::vector(file.begin() + bytes_of_trace_file_header, file.end());
    };
    EXPECT_TRUE(read_traces(content(TraceStore::end_of_life - 1)));
    EXPECT_FALSE(read_traces(content(TraceStore::end_of_life))) << "no such file was written";
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

} // namespace
} // namespace strata::cpu::translator
