#include "devices/irq/i8259.hpp"

#include "test_board.hpp"

namespace strata::devices {
namespace {

constexpr std::uint16_t master_command = 0x20, master_data = 0x21, slave_command = 0xA0;
constexpr std::uint8_t eoi = 0x20;

class I8259Test : public testing::Test {
protected:
    I8259Test() {
        board.router.add(pic);
        pic.reset();
        initialize(0x01);
    }

    void initialize(std::uint8_t icw4) {
        for (const auto& [command, base, cascade] :
             {std::tuple<std::uint16_t, std::uint8_t, std::uint8_t>{master_command, 0x20, 4},
              {slave_command, 0x28, 2}}) {
            board.out8(command, 0x11);
            board.out8(command + 1, base);
            board.out8(command + 1, cascade);
            board.out8(command + 1, icw4);
            board.out8(command + 1, 0);
        }
    }

    void pulse(unsigned irq) {
        pic.set_irq(irq, true);
        pic.set_irq(irq, false);
    }

    TestBoard board;
    RecordedLine intr;
    I8259Pair pic{intr.input()};
};

TEST_F(I8259Test, DeliversAVectorAndHoldsLowerPrioritiesUntilEoi) {
    pulse(3);
    pulse(4);
    EXPECT_TRUE(intr.level);
    EXPECT_EQ(pic.acknowledge(), 0x23);
    EXPECT_FALSE(intr.level) << "IRQ 4 waits for IRQ 3";
    pulse(1);
    EXPECT_TRUE(intr.level) << "IRQ 1 may interrupt IRQ 3";
    EXPECT_EQ(pic.acknowledge(), 0x21);
    board.out8(master_command, eoi);
    EXPECT_FALSE(intr.level);
    board.out8(master_command, eoi);
    EXPECT_EQ(pic.acknowledge(), 0x24);
}

TEST_F(I8259Test, CascadesTheSlave) {
    pulse(12);
    EXPECT_TRUE(intr.level);
    EXPECT_EQ(pic.acknowledge(), 0x2C);
    pulse(14);
    pulse(9);
    EXPECT_FALSE(intr.level) << "the master's IRQ 2 is in service";
    board.out8(slave_command, eoi);
    board.out8(master_command, eoi);
    EXPECT_EQ(pic.acknowledge(), 0x29);
    board.out8(slave_command, eoi);
    board.out8(master_command, eoi);
    EXPECT_EQ(pic.acknowledge(), 0x2E);
}

TEST_F(I8259Test, MaskedRequestsWait) {
    board.out8(master_data, 0x08);
    pulse(3);
    EXPECT_FALSE(intr.level);
    EXPECT_EQ(board.in8(master_data), 0x08);
    EXPECT_EQ(board.in8(master_command), 0x08) << "IRR";
    board.out8(master_data, 0);
    EXPECT_TRUE(intr.level);
}

TEST_F(I8259Test, AVanishedRequestIsSpurious) {
    board.out8(0x4D0, 0x20); // IRQ 5 is level-triggered
    EXPECT_EQ(board.in8(0x4D0), 0x20);
    pic.set_irq(5, true);
    pic.set_irq(5, false);
    EXPECT_EQ(pic.acknowledge(), 0x27);
    board.out8(master_command, 0x0B);
    EXPECT_EQ(board.in8(master_command), 0) << "nothing is in service";
}

TEST_F(I8259Test, LevelTriggeredRequestsComeAgainWhileTheLineIsHigh) {
    board.out8(0x4D1, 0x08); // IRQ 11
    pic.set_irq(11, true);
    EXPECT_EQ(pic.acknowledge(), 0x2B);
    board.out8(slave_command, eoi);
    board.out8(master_command, eoi);
    EXPECT_TRUE(intr.level);
    pic.set_irq(11, false);
    EXPECT_FALSE(intr.level);
}

TEST_F(I8259Test, ElcrKeepsTheTimerKeyboardCascadeAndClockEdgeTriggered) {
    board.out8(0x4D0, 0xFF);
    board.out8(0x4D1, 0xFF);
    EXPECT_EQ(board.in8(0x4D0), 0xF8);
    EXPECT_EQ(board.in8(0x4D1), 0xDE);
}

TEST_F(I8259Test, EdgeTriggeredRequestsComeOncePerEdge) {
    pic.set_irq(4, true);
    EXPECT_EQ(pic.acknowledge(), 0x24);
    board.out8(master_command, eoi);
    EXPECT_FALSE(intr.level);
    pic.set_irq(4, false);
    pic.set_irq(4, true);
    EXPECT_TRUE(intr.level);
}

TEST_F(I8259Test, AutoEoiLeavesNothingInService) {
    initialize(0x03);
    pulse(6);
    EXPECT_EQ(pic.acknowledge(), 0x26);
    pulse(7);
    EXPECT_TRUE(intr.level);
    board.out8(master_command, 0x0B);
    EXPECT_EQ(board.in8(master_command), 0);
}

TEST_F(I8259Test, SpecificEoiAndRotation) {
    pulse(2 + 1);
    pulse(5);
    EXPECT_EQ(pic.acknowledge(), 0x23);
    board.out8(master_command, 0xE0 | 3); // rotate on specific EOI: 3 is now the lowest
    EXPECT_EQ(pic.acknowledge(), 0x25);
    pulse(3);
    pulse(1);
    EXPECT_FALSE(intr.level) << "both are below 5 now";
    board.out8(master_command, 0x60 | 5);
    EXPECT_EQ(pic.acknowledge(), 0x21);
}

TEST_F(I8259Test, SpecialMaskModeLetsLowerPrioritiesIn) {
    pulse(1);
    EXPECT_EQ(pic.acknowledge(), 0x21);
    board.out8(master_data, 0x02);
    board.out8(master_command, 0x68);
    pulse(6);
    EXPECT_EQ(pic.acknowledge(), 0x26);
}

TEST_F(I8259Test, PollTakesTheRequest) {
    pulse(5);
    board.out8(master_command, 0x0C);
    EXPECT_EQ(board.in8(master_command), 0x85);
    EXPECT_FALSE(intr.level);
    board.out8(master_command, 0x0B);
    EXPECT_EQ(board.in8(master_command), 0x20) << "in service";
    board.out8(master_command, 0x0C);
    EXPECT_EQ(board.in8(master_command), 0x00) << "nothing more";
}

TEST_F(I8259Test, SpecialFullyNestedModeLetsTheSlaveNest) {
    initialize(0x11);
    pulse(12);
    EXPECT_EQ(pic.acknowledge(), 0x2C);
    pulse(8);
    EXPECT_EQ(pic.acknowledge(), 0x28);
}

TEST_F(I8259Test, IsQuietAfterReset) {
    pic.reset();
    pulse(0);
    EXPECT_FALSE(intr.level);
}

TEST_F(I8259Test, SavesAndRestores) {
    pulse(3);
    pulse(12);
    EXPECT_EQ(pic.acknowledge(), 0x2C) << "the slave is above IRQ 3";
    board.out8(master_data, 0x80);
    RecordedLine other_intr;
    I8259Pair copy(other_intr.input());
    expect_saves_and_restores(pic, copy);
    EXPECT_FALSE(other_intr.level) << "IRQ 3 waits in the copy, too";
    copy.write(1, 0, 1, eoi);
    copy.write(0, 0, 1, eoi);
    EXPECT_EQ(copy.acknowledge(), 0x23);
}

} // namespace
} // namespace strata::devices
