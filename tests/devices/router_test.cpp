#include "devices/router.hpp"

#include "test_board.hpp"

#include <functional>
#include <tuple>

namespace strata::devices {
namespace {

// Answers with the offset in every byte; records writes.
class Probe final : public Device {
public:
    explicit Probe(std::vector<Region> regions) : regions_(std::move(regions)) {}

    [[nodiscard]] std::string_view name() const override { return "probe"; }

    [[nodiscard]] std::vector<Region> regions() const override { return regions_; }

    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override {
        reads.emplace_back(region, offset, size);
        std::uint64_t value = 0;
        for (unsigned i = 0; i < size; ++i) {
            value |= ((offset + i) & 0xFF) << (i * 8);
        }
        return value;
    }

    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override {
        writes.emplace_back(region, offset, size, value);
        if (on_write) {
            on_write();
        }
    }

    void reset() override {}

    void visit(StateVisitor& /*visitor*/) override {}

    std::vector<std::tuple<unsigned, std::uint64_t, unsigned>> reads;
    std::vector<std::tuple<unsigned, std::uint64_t, unsigned, std::uint64_t>> writes;
    std::function<void()> on_write;

private:
    std::vector<Region> regions_;
};

using Reads = decltype(Probe::reads);
using Writes = decltype(Probe::writes);

TEST(Router, NobodyAnswersWithAllOnes) {
    Router router;
    EXPECT_EQ(router.read(Space::port, 0x1234, 1), 0xFFU);
    EXPECT_EQ(router.read(Space::memory, 0xF000'0000, 8), ~std::uint64_t{0});
    router.write(Space::port, 0x1234, 4, 1);
}

TEST(Router, PortsAndMemoryAreApart) {
    Router router;
    Probe ports({{"p", Space::port, 0x100, 8}});
    router.add(ports);
    EXPECT_EQ(router.read(Space::port, 0x102, 1), 2U);
    EXPECT_EQ(router.read(Space::memory, 0x102, 1), 0xFFU);
}

TEST(Router, SplitsLargeAccessesLowestFirst) {
    Router router;
    Probe bytes({{"b", Space::port, 0x100, 8, 1, 1}});
    router.add(bytes);
    EXPECT_EQ(router.read(Space::port, 0x102, 4), 0x05040302U);
    EXPECT_EQ(bytes.reads, (Reads{{0, 2, 1}, {0, 3, 1}, {0, 4, 1}, {0, 5, 1}}));
    router.write(Space::port, 0x100, 2, 0xBBAA);
    EXPECT_EQ(bytes.writes, (Writes{{0, 0, 1, 0xAA}, {0, 1, 1, 0xBB}}));
}

TEST(Router, SplitsMisalignedAccesses) {
    Router router;
    Probe probe({{"m", Space::memory, 0x1000, 0x100}});
    router.add(probe);
    EXPECT_EQ(router.read(Space::memory, 0x1003, 8), 0x0A09080706050403U);
    EXPECT_EQ(probe.reads, (Reads{{0, 3, 1}, {0, 4, 4}, {0, 8, 2}, {0, 10, 1}}));
}

TEST(Router, WidensSmallAccesses) {
    Router router;
    Probe words({{"w", Space::memory, 0x1000, 0x100, 4, 4}});
    router.add(words);
    EXPECT_EQ(router.read(Space::memory, 0x1005, 2), 0x0605U);
    EXPECT_EQ(words.reads, (Reads{{0, 4, 4}}));
    router.write(Space::memory, 0x1006, 1, 0x77);
    EXPECT_EQ(words.writes, (Writes{{0, 4, 4, 0x770000}}));
    words.reads.clear();
    EXPECT_EQ(router.read(Space::memory, 0x1006, 4), 0x09080706U); // across two words
    EXPECT_EQ(words.reads, (Reads{{0, 4, 4}, {0, 8, 4}}));
}

TEST(Router, AnAccessAcrossTheEndIsAnsweredInPart) {
    Router router;
    Probe probe({{"m", Space::memory, 0x1000, 2}});
    router.add(probe);
    EXPECT_EQ(router.read(Space::memory, 0x1000, 4), 0xFFFF0100U);
    EXPECT_EQ(router.read(Space::memory, 0xFFE, 4), 0x0100FFFFU);
}

TEST(Router, TheRegionMappedLastAnswersAndUncoversWhenItGoes) {
    Router router;
    Probe large({{"l", Space::memory, 0x1000, 0x100}}), small({{"s", Space::memory, 0x1040, 0x10}});
    router.add(large);
    router.add(small);
    EXPECT_EQ(router.read(Space::memory, 0x1040, 1), 0U);
    EXPECT_EQ(router.read(Space::memory, 0x103F, 2), 0x003FU) << "one byte from each";
    EXPECT_EQ(router.read(Space::memory, 0x1050, 1), 0x50U);
    router.map(small, 0, std::nullopt);
    EXPECT_EQ(router.read(Space::memory, 0x1040, 1), 0x40U);
    router.map(small, 0, 0x10F8);
    EXPECT_EQ(router.read(Space::memory, 0x10FA, 1), 2U);
    EXPECT_EQ(router.read(Space::memory, 0x1107, 1), 15U);
    router.map(large, 0, 0x1000); // mapped again: now it covers
    EXPECT_EQ(router.read(Space::memory, 0x10FA, 1), 0xFAU);
    EXPECT_EQ(router.read(Space::memory, 0x1107, 1), 15U);
    router.remove(large);
    EXPECT_EQ(router.read(Space::memory, 0x1000, 1), 0xFFU);
}

TEST(Router, AnswersAtTheTopOfEachSpace) {
    Router router;
    Probe ports({{"p", Space::port, 0xFFF8, 8}}), memory({{"m", Space::memory, ~std::uint64_t{0} - 15, 16}});
    router.add(ports);
    router.add(memory);
    EXPECT_EQ(router.read(Space::port, 0xFFFF, 1), 7U);
    EXPECT_EQ(router.read(Space::port, 0xFFFF, 2), 0xFF07U);
    EXPECT_EQ(router.read(Space::memory, ~std::uint64_t{0} - 7, 8), 0x0F0E0D0C0B0A0908U);
}

TEST(Router, WhatReachesPastTheEndIsNotMapped) {
    Router router;
    Probe probe({{"p", Space::port, 0, 8, 1, 4, false}, {"m", Space::memory, 0, 0x1000, 1, 8, false}});
    router.add(probe);
    router.map(probe, 0, 0xFFFC);
    router.map(probe, 1, ~std::uint64_t{0} - 0xFFE);
    EXPECT_EQ(router.read(Space::port, 0xFFFC, 1), 0xFFU);
    EXPECT_EQ(router.find(Space::memory, ~std::uint64_t{0}), nullptr);
    router.map(probe, 1, ~std::uint64_t{0} - 0xFFF);
    EXPECT_NE(router.find(Space::memory, ~std::uint64_t{0}), nullptr);
}

TEST(Router, ADeviceMayMoveItsRegionDuringAnAccess) {
    Router router;
    Probe probe({{"b", Space::port, 0x100, 4, 1, 1}});
    router.add(probe);
    probe.on_write = [&] { router.map(probe, 0, 0x200); };
    router.write(Space::port, 0x100, 4, 0x44332211); // the rest of it meets nobody
    EXPECT_EQ(probe.writes, (Writes{{0, 0, 1, 0x11}}));
    probe.on_write = nullptr;
    router.write(Space::port, 0x201, 1, 0x55);
    EXPECT_EQ(probe.writes.size(), 2U);
}

TEST(Router, TellsEveryRegionWithItsPresentPlace) {
    Router router;
    Probe probe({{"p", Space::port, 0x10, 4}, {"m", Space::memory, 0, 0x1000, 1, 8, false}});
    router.add(probe);
    router.map(probe, 1, 0x8000);
    const auto mappings = router.mappings();
    ASSERT_EQ(mappings.size(), 2U);
    EXPECT_EQ(mappings[1].info.name, "m");
    EXPECT_TRUE(mappings[1].info.mapped);
    EXPECT_EQ(mappings[1].info.base, 0x8000U);
}

} // namespace
} // namespace strata::devices
