#include "paravirt/kvm_clock.hpp"

#include "base/bytes.hpp"
#include "base/state_stream.hpp"

#include <array>
#include <gtest/gtest.h>
#include <string>

namespace strata::paravirt {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint32_t wall_clock = 0x4B564D00, system_time = 0x4B564D01;

class KvmClockTest : public testing::Test {
protected:
    KvmClock make(std::uint64_t tsc_hz, std::int64_t tsc_offset = 0) {
        return KvmClock(*memory, {.tsc_hz = tsc_hz,
                                  .tsc_offset = [tsc_offset] { return tsc_offset; },
                                  .boot_time = 1'700'000'000'123'456'789});
    }

    template <class T>
    T at(std::uint64_t address) {
        return load_le<T>(memory->host(address, sizeof(T)));
    }

    // The time that a guest computes from the structure at `address`.
    std::uint64_t guest_time(std::uint64_t address, std::uint64_t tsc) {
        std::uint64_t delta = tsc - at<std::uint64_t>(address + 8);
        const auto shift = at<std::int8_t>(address + 28);
        delta = shift >= 0 ? delta << shift : delta >> -shift;
        const auto scaled = static_cast<std::uint64_t>(Wide{delta} * at<std::uint32_t>(address + 24) >> 32);
        return at<std::uint64_t>(address + 16) + scaled;
    }

    std::unique_ptr<memory::GuestMemory> memory = std::move(*memory::GuestMemory::create(1 << 20));
};

TEST_F(KvmClockTest, IsFoundByCpuid) {
    std::array<std::uint32_t, 4> leaf{};
    KvmClock::adjust_cpuid(0x40000000, leaf);
    EXPECT_EQ(leaf[0], 0x40000001U);
    std::string signature(12, '\0');
    std::memcpy(signature.data(), &leaf[1], 12);
    EXPECT_EQ(signature, std::string("KVMKVMKVM\0\0\0", 12));
    KvmClock::adjust_cpuid(0x40000001, leaf);
    EXPECT_EQ(leaf[0], 0x0100000BU);
    leaf = {1, 2, 3, 4};
    KvmClock::adjust_cpuid(1, leaf);
    EXPECT_EQ(leaf, (std::array<std::uint32_t, 4>{1, 2, 3, 4}));
}

TEST_F(KvmClockTest, TurnsTheCounterIntoNanoseconds) {
    for (const std::uint64_t hz : {1'000'000ULL, 1'000'000'000ULL, 2'893'202'000ULL, 5'000'000'000ULL}) {
        for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{123'456}, std::int64_t{-5'000'000}}) {
            auto clock = make(hz, offset);
            ASSERT_TRUE(clock.write_msr(system_time, 0x1000 | 1));
            EXPECT_EQ(at<std::uint32_t>(0x1000) % 2, 0U) << "the version is even when all is written";
            EXPECT_EQ(at<std::uint8_t>(0x1000 + 29), 1) << "stable";
            for (const std::uint64_t seconds : {1ULL, 100ULL, 86'400ULL}) {
                const std::uint64_t tsc = hz * seconds + static_cast<std::uint64_t>(offset);
                const auto expected = static_cast<double>(seconds) * 1e9;
                EXPECT_NEAR(static_cast<double>(guest_time(0x1000, tsc)), expected, 1 + expected * 1e-9)
                    << hz;
            }
        }
    }
}

TEST_F(KvmClockTest, VersionGoesUpWithEachWrite) {
    auto clock = make(1'000'000'000);
    ASSERT_TRUE(clock.write_msr(0x12, 0x2000 | 1)); // the old number
    const auto before = at<std::uint32_t>(0x2000);
    clock.refresh(true);
    EXPECT_EQ(at<std::uint32_t>(0x2000), before + 2);
    EXPECT_EQ(at<std::uint8_t>(0x2000 + 29), 3) << "the guest was stopped";
    EXPECT_EQ(clock.read_msr(system_time), 0x2001U);
    ASSERT_TRUE(clock.write_msr(system_time, 0)); // off
    clock.refresh();
    EXPECT_EQ(at<std::uint32_t>(0x2000), before + 2);
}

TEST_F(KvmClockTest, WallClockIsTheBootTime) {
    auto clock = make(1'000'000'000);
    ASSERT_TRUE(clock.write_msr(wall_clock, 0x3000));
    EXPECT_EQ(at<std::uint32_t>(0x3004), 1'700'000'000U);
    EXPECT_EQ(at<std::uint32_t>(0x3008), 123'456'789U);
    EXPECT_EQ(at<std::uint32_t>(0x3000) % 2, 0U);
}

TEST_F(KvmClockTest, AddressesOutsideRamDoNoHarm) {
    auto clock = make(1'000'000'000);
    for (const std::uint64_t address : {0xFFFF'FFFF'FFFF'FFFFULL, 0x1000'0001ULL, 0xFFFF1ULL, 0x1003ULL}) {
        EXPECT_TRUE(clock.write_msr(system_time, address | 1));
        EXPECT_TRUE(clock.write_msr(wall_clock, address));
    }
    EXPECT_FALSE(clock.write_msr(0x4B564D05, 1));
    EXPECT_EQ(clock.read_msr(0x4B564D05), std::nullopt);
}

TEST_F(KvmClockTest, SavesAndRestores) {
    auto clock = make(1'000'000'000);
    ASSERT_TRUE(clock.write_msr(system_time, 0x1001));
    StateWriter saved;
    clock.visit(saved);
    auto copy = make(1'000'000'000);
    StateReader reader(saved.bytes());
    copy.visit(reader);
    EXPECT_TRUE(reader.result());
    EXPECT_EQ(copy.read_msr(system_time), 0x1001U);
    clock.reset();
    EXPECT_EQ(clock.read_msr(system_time), 0U);
}

} // namespace
} // namespace strata::paravirt
