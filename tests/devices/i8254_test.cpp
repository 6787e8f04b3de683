#include "devices/i8254.hpp"

#include "test_board.hpp"

namespace strata::devices {
namespace {

constexpr Nanoseconds second = 1'000'000'000;
constexpr std::int64_t hz = 1'193'182;

// A counter alone, in exact ticks.
class CounterTest : public testing::Test {
protected:
    CounterTest() { counter.reset(true); }

    void program(unsigned mode, std::uint16_t count, bool bcd = false) {
        counter.set_control(static_cast<std::uint8_t>(0x30 | mode << 1 | (bcd ? 1 : 0)));
        load(count);
    }

    void load(std::uint16_t count) {
        counter.write(now, static_cast<std::uint8_t>(count));
        counter.write(now, static_cast<std::uint8_t>(count >> 8));
    }

    // The count and the output at each of the next ticks, counted from the one that loads the count.
    std::string outputs(unsigned ticks) {
        std::string text;
        for (unsigned i = 0; i < ticks; ++i) {
            text += counter.output(now + 1 + i) ? '1' : '0';
        }
        return text;
    }

    std::uint16_t count(std::uint64_t ticks) {
        counter.latch_count(now + 1 + ticks);
        const unsigned low = counter.read(now + 1 + ticks);
        return static_cast<std::uint16_t>(low | counter.read(now + 1 + ticks) << 8);
    }

    I8254Counter counter;
    std::uint64_t now = 1000;
};

TEST_F(CounterTest, Mode0RaisesItsOutputAtTheEnd) {
    program(0, 4);
    EXPECT_EQ(outputs(8), "00001111");
    EXPECT_EQ(counter.next_change(now), now + 1 + 4);
    EXPECT_EQ(count(1), 3);
    EXPECT_EQ(count(4), 0);
    EXPECT_EQ(count(5), 0xFFFF);
}

TEST_F(CounterTest, CanBeSavedAfterALongBinaryCountTurnedDecimal) {
    program(2, 0);
    counter.set_control(0x35);
    StateWriter saved;
    counter.visit(saved);
    EXPECT_TRUE(saved.result()) << saved.result().error().message;
    load(0x9999);
    EXPECT_EQ(count(1), 0x9998);
}

TEST_F(CounterTest, Mode0PausesWhileTheGateIsLow) {
    program(0, 4);
    counter.set_gate(now + 3, false);
    EXPECT_EQ(counter.next_change(now + 3), std::nullopt);
    EXPECT_FALSE(counter.output(now + 50));
    counter.set_gate(now + 50, true);
    EXPECT_FALSE(counter.output(now + 51));
    EXPECT_TRUE(counter.output(now + 52));
}

TEST_F(CounterTest, Mode1IsAOneShotThatTheGateTriggers) {
    counter.set_gate(now, false);
    program(1, 3);
    EXPECT_EQ(outputs(4), "1111");
    counter.set_gate(now, true);
    EXPECT_EQ(outputs(6), "000111");
    now += 2;
    counter.set_gate(now, false);
    counter.set_gate(now, true); // again, before it ended
    EXPECT_EQ(outputs(6), "000111");
}

TEST_F(CounterTest, Mode2PulsesLowForOneTick) {
    program(2, 4);
    EXPECT_EQ(outputs(9), "111011101");
    EXPECT_EQ(count(0), 4);
    EXPECT_EQ(count(3), 1);
    EXPECT_EQ(count(4), 4);
    EXPECT_EQ(counter.next_change(now), now + 1 + 3);
    EXPECT_EQ(counter.next_change(now + 1 + 3), now + 1 + 4);
}

TEST_F(CounterTest, Mode2TakesANewCountAtTheEndOfThePeriod) {
    program(2, 4);
    now += 2;
    load(3);
    EXPECT_EQ(outputs(9), "101101101");
}

TEST_F(CounterTest, Mode3IsASquareWave) {
    program(3, 6);
    EXPECT_EQ(outputs(12), "111000111000");
    EXPECT_EQ(count(0), 6);
    EXPECT_EQ(count(1), 4);
    EXPECT_EQ(count(4), 4);
    program(3, 5);
    EXPECT_EQ(outputs(10), "1110011100");
    EXPECT_EQ(count(1), 4);
    EXPECT_EQ(count(2), 2);
    EXPECT_EQ(count(4), 2);
}

TEST_F(CounterTest, Mode3StopsHighWhileTheGateIsLow) {
    program(3, 4);
    counter.set_gate(now + 4, false);
    EXPECT_TRUE(counter.output(now + 4));
    counter.set_gate(now + 20, true);
    now += 20;
    EXPECT_EQ(outputs(4), "1100");
}

TEST_F(CounterTest, Mode4And5Strobe) {
    program(4, 3);
    EXPECT_EQ(outputs(6), "111011");
    counter.set_gate(now, false);
    program(5, 2);
    EXPECT_EQ(outputs(4), "1111");
    counter.set_gate(now, true);
    EXPECT_EQ(outputs(5), "11011");
}

TEST_F(CounterTest, CountsInBcd) {
    program(2, 0x0100, true);
    EXPECT_EQ(count(1), 0x0099);
    EXPECT_EQ(count(99), 0x0001);
    program(0, 0, true);
    EXPECT_EQ(count(1), 0x9999);
}

TEST_F(CounterTest, ZeroIsTheLongestCount) {
    program(0, 0);
    EXPECT_EQ(counter.next_change(now), now + 1 + 0x10000);
}

TEST_F(CounterTest, ALatchedCountStaysUntilRead) {
    program(2, 1000);
    counter.latch_count(now + 11);
    counter.latch_count(now + 20); // ignored
    EXPECT_EQ(counter.read(now + 30), 990 & 0xFF);
    EXPECT_EQ(counter.read(now + 40), 990 >> 8);
    EXPECT_EQ(counter.read(now + 51), 950 & 0xFF);
}

class I8254Test : public testing::Test {
protected:
    I8254Test() {
        board.router.add(pit);
        pit.reset();
    }

    void start(unsigned mode, std::uint16_t count) {
        board.out8(0x43, static_cast<std::uint8_t>(0x30 | mode << 1));
        board.out8(0x40, static_cast<std::uint8_t>(count));
        board.out8(0x40, static_cast<std::uint8_t>(count >> 8));
    }

    TestBoard board;
    RecordedLine irq0;
    I8254 pit{board.environment, irq0.input()};
};

TEST_F(I8254Test, TicksAtTheProgrammedRate) {
    for (const unsigned mode : {2U, 3U}) {
        start(mode, 11932); // 100 Hz
        board.run();
        irq0.rises = 0;
        board.advance(second, 1'000'000);
        EXPECT_NEAR(irq0.rises, 100, 1) << "mode " << mode;
    }
}

TEST_F(I8254Test, MissedTicksAreOneEdge) {
    start(2, 11932);
    board.advance(second / 200);
    irq0.rises = 0;
    board.advance(second / 2); // in one step
    EXPECT_EQ(irq0.rises, 1);
}

TEST_F(I8254Test, OneShotInterruptsOnce) {
    start(0, 1193);
    EXPECT_FALSE(irq0.level);
    board.advance(second / 10, 100'000);
    EXPECT_TRUE(irq0.level);
    EXPECT_EQ(irq0.rises, 1);
    start(0, 1193);
    EXPECT_FALSE(irq0.level) << "writing a count lowers the output";
}

TEST_F(I8254Test, TheFastestRateDoesNotFloodTheHost) {
    start(2, 2);
    irq0.rises = 0;
    board.advance(second / 100, 1'000);
    EXPECT_LE(irq0.rises, 250);
    EXPECT_GE(irq0.rises, 100);
}

TEST_F(I8254Test, ReadBackTellsStatusAndCount) {
    start(2, 0x1234);
    board.advance(10'000);
    board.out8(0x43, 0xC2); // counter 0: count and status
    EXPECT_EQ(board.in8(0x40), 0x80 | 0x30 | 0x04);
    const unsigned count = board.in8(0x40) | board.in8(0x40) << 8;
    EXPECT_NEAR(static_cast<double>(count), 0x1234 - 10'000.0 * hz / second, 2);
    board.out8(0x43, 0xB0); // counter 2: a control word and no count yet
    board.out8(0x43, 0xE8);
    EXPECT_EQ(board.in8(0x42), 0x40 | 0x30) << "null count";
}

// As kernels calibrate: counter 2 in mode 0, gated by port 0x61, its output polled there.
TEST_F(I8254Test, Port61GatesAndShowsCounter2) {
    board.out8(0x61, (board.in8(0x61) & ~0x02) | 0x01);
    board.out8(0x43, 0xB0);
    board.out8(0x42, 0x9C);
    board.out8(0x42, 0x2E); // 11932: 10 ms
    board.advance(9'900'000);
    EXPECT_EQ(board.in8(0x61) & 0x20, 0);
    board.advance(200'000);
    EXPECT_EQ(board.in8(0x61) & 0x20, 0x20);
    EXPECT_EQ(board.in8(0x61) & 0x0F, 0x01);
    EXPECT_FALSE(irq0.rises > 1);
}

TEST_F(I8254Test, RefreshBitToggles) {
    const auto before = board.in8(0x61) & 0x10;
    board.clock.advance(15'085);
    EXPECT_NE(board.in8(0x61) & 0x10, before);
}

TEST_F(I8254Test, SavesAndRestores) {
    start(2, 11932);
    board.advance(3'000'000);
    board.out8(0x43, 0x00);
    RecordedLine other;
    I8254 copy(board.environment, other.input());
    expect_saves_and_restores(pit, copy);
    other.rises = 0;
    board.advance(second / 10, 1'000'000);
    EXPECT_NEAR(other.rises, 10, 1) << "the copy ticks";
}

} // namespace
} // namespace strata::devices
