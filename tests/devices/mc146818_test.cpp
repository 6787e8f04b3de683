#include "devices/mc146818.hpp"

#include "test_board.hpp"

namespace strata::devices {
namespace {

constexpr Nanoseconds second = 1'000'000'000;
constexpr std::int64_t epoch = 1'709'210'096 * second; // 2024-02-29 12:34:56, a Thursday

class Mc146818Test : public testing::Test {
protected:
    Mc146818Test() {
        board.router.add(rtc);
        rtc.reset();
    }

    std::uint8_t get(std::uint8_t cell) {
        board.out8(0x70, cell);
        return board.in8(0x71);
    }

    void set(std::uint8_t cell, std::uint8_t value) {
        board.out8(0x70, cell);
        board.out8(0x71, value);
    }

    TestBoard board;
    RecordedLine irq8;
    Mc146818 rtc{board.environment, epoch, irq8.input()};
};

TEST_F(Mc146818Test, TellsTheTimeInBcd) {
    EXPECT_EQ(get(0x00), 0x56);
    EXPECT_EQ(get(0x02), 0x34);
    EXPECT_EQ(get(0x04), 0x12);
    EXPECT_EQ(get(0x06), 5);
    EXPECT_EQ(get(0x07), 0x29);
    EXPECT_EQ(get(0x08), 0x02);
    EXPECT_EQ(get(0x09), 0x24);
    EXPECT_EQ(get(0x32), 0x20);
    EXPECT_EQ(get(0x0D), 0x80);
    EXPECT_EQ(get(0x0B), 0x02);
    board.advance(12 * 3600 * second);
    EXPECT_EQ(get(0x04), 0x00);
    EXPECT_EQ(get(0x07), 0x01);
    EXPECT_EQ(get(0x08), 0x03);
}

TEST_F(Mc146818Test, BinaryAndTwelveHours) {
    set(0x0B, 0x06);
    EXPECT_EQ(get(0x00), 56);
    EXPECT_EQ(get(0x04), 12);
    set(0x0B, 0x04);
    EXPECT_EQ(get(0x04), 0x80 | 12) << "noon";
    board.advance(12 * 3600 * second);
    EXPECT_EQ(get(0x04), 12) << "midnight";
    board.advance(13 * 3600 * second);
    EXPECT_EQ(get(0x04), 0x80 | 1);
}

TEST_F(Mc146818Test, IsSetWithTheClockStopped) {
    set(0x0B, 0x82);
    set(0x00, 0x59);
    set(0x02, 0x59);
    set(0x04, 0x23);
    set(0x07, 0x31);
    set(0x08, 0x12);
    set(0x09, 0x99);
    set(0x32, 0x19);
    board.advance(5 * second);
    EXPECT_EQ(get(0x00), 0x59) << "it stands";
    set(0x0B, 0x02);
    EXPECT_EQ(get(0x09), 0x99);
    board.advance(second);
    EXPECT_EQ(get(0x00), 0x00);
    EXPECT_EQ(get(0x07), 0x01);
    EXPECT_EQ(get(0x08), 0x01);
    EXPECT_EQ(get(0x09), 0x00);
    EXPECT_EQ(get(0x32), 0x20);
}

TEST_F(Mc146818Test, TheFirstUpdateAfterADividerResetIsHalfASecondLater) {
    set(0x0A, 0x70);
    board.advance(3 * second);
    EXPECT_EQ(get(0x00), 0x56);
    set(0x0A, 0x26);
    board.advance(second / 2 - 1);
    EXPECT_EQ(get(0x00), 0x56);
    board.advance(1);
    EXPECT_EQ(get(0x00), 0x57);
}

TEST_F(Mc146818Test, AnnouncesUpdates) {
    EXPECT_EQ(get(0x0A), 0x26);
    board.advance(second - 1'000'000);
    EXPECT_EQ(get(0x0A), 0xA6);
    board.advance(1'000'000);
    EXPECT_EQ(get(0x0A), 0x26);
}

TEST_F(Mc146818Test, PeriodicInterrupts) {
    set(0x0A, 0x26); // 1024 Hz
    set(0x0B, 0x42);
    int seen = 0;
    for (int i = 0; i < 10'000; ++i) {
        board.advance(100'000);
        if (irq8.level) {
            EXPECT_EQ(get(0x0C) & 0xC0, 0xC0);
            EXPECT_FALSE(irq8.level) << "reading register C acknowledges";
            ++seen;
        }
    }
    EXPECT_NEAR(seen, 1024, 1);
}

TEST_F(Mc146818Test, UpdateEndedInterrupts) {
    set(0x0B, 0x12);
    board.advance(second - 1);
    EXPECT_FALSE(irq8.level);
    board.advance(1);
    EXPECT_TRUE(irq8.level);
    EXPECT_EQ(get(0x0C) & 0xB0, 0x90);
}

TEST_F(Mc146818Test, AlarmAtATimeOfDay) {
    set(0x01, 0x05);
    set(0x03, 0x35);
    set(0x05, 0x12);
    set(0x0B, 0x22);
    board.advance(8 * second, second);
    EXPECT_FALSE(irq8.level);
    board.advance(second);
    EXPECT_TRUE(irq8.level);
    EXPECT_EQ(get(0x0C) & 0xA0, 0xA0);
    board.advance(24 * 3600 * second);
    EXPECT_TRUE(irq8.level) << "a missed moment is noticed";
}

TEST_F(Mc146818Test, AlarmEveryMinute) {
    set(0x01, 0x00);
    set(0x03, 0xFF);
    set(0x05, 0xFF);
    set(0x0B, 0x22);
    for (int i = 0; i < 3; ++i) {
        board.advance(60 * second, second);
        EXPECT_TRUE(irq8.level);
        get(0x0C);
    }
}

TEST_F(Mc146818Test, FlagsAreSetWithoutInterrupts) {
    board.advance(2 * second);
    EXPECT_EQ(irq8.rises, 0);
    EXPECT_EQ(get(0x0C) & 0xD0, 0x50);
    EXPECT_EQ(get(0x0C), 0);
}

TEST_F(Mc146818Test, MemorySizesInCmos) {
    rtc.set_memory_size(0xC000'0000, 0x4000'0000);
    EXPECT_EQ(get(0x15) | get(0x16) << 8, 640);
    EXPECT_EQ(get(0x17) | get(0x18) << 8, 0xFFFF);
    EXPECT_EQ(get(0x34) | get(0x35) << 8, (0xC000'0000LL - (16 << 20)) >> 16);
    EXPECT_EQ(get(0x5B) | get(0x5C) << 8 | get(0x5D) << 16, 0x4000'0000 >> 16);
}

TEST_F(Mc146818Test, CellsKeepWhatIsWritten) {
    set(0x8F, 0x0A); // bit 7 of the index is the NMI mask
    EXPECT_EQ(get(0x0F), 0x0A);
    rtc.reset();
    EXPECT_EQ(get(0x0F), 0x0A) << "there is a battery";
    EXPECT_EQ(board.in8(0x70), 0xFF);
}

TEST_F(Mc146818Test, AnyDateIsTaken) {
    for (unsigned value = 0; value < 256; ++value) {
        for (const std::uint8_t cell : std::initializer_list<std::uint8_t>{0, 2, 4, 6, 7, 8, 9, 0x32}) {
            set(cell, static_cast<std::uint8_t>(value));
            (void)get(cell);
        }
        board.advance(second);
    }
}

TEST_F(Mc146818Test, SavesAndRestores) {
    set(0x0B, 0x12);
    board.advance(second / 2);
    RecordedLine other;
    Mc146818 copy(board.environment, 0, other.input());
    expect_saves_and_restores(rtc, copy);
    board.advance(second / 2);
    EXPECT_TRUE(other.level);
}

} // namespace
} // namespace strata::devices
