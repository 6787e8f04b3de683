#include "devices/uart16550.hpp"

#include "test_board.hpp"

#include <string>

namespace strata::devices {
namespace {

class RecordedChar final : public backends::CharBackend {
public:
    void write(std::span<const std::byte> bytes) override {
        ++writes;
        for (const std::byte byte : bytes) {
            text += static_cast<char>(byte);
        }
    }

    void resume() override {
        ++resumes;
        type(waiting);
    }

    // What a user types; the rest waits.
    void type(std::string_view typed) {
        std::string all(typed);
        const std::size_t taken = deliver(std::as_bytes(std::span(all)));
        waiting = all.substr(taken);
    }

    std::string text, waiting;
    int writes = 0, resumes = 0;
};

constexpr std::uint16_t base = 0x3F8;

enum Register : std::uint16_t { data, ier, iir, lcr, mcr, lsr, msr, scr };

class Uart16550Test : public testing::Test {
protected:
    Uart16550Test() {
        board.router.add(uart);
        uart.reset();
        put(mcr, 0x0B);
    }

    void put(std::uint16_t reg, std::uint8_t value) { board.out8(base + reg, value); }

    std::uint8_t get(std::uint16_t reg) { return board.in8(base + reg); }

    TestBoard board;
    RecordedLine irq4;
    RecordedChar terminal;
    Uart16550 uart{board.environment, {}, irq4.input(), &terminal};
};

TEST_F(Uart16550Test, OutputReachesTheBackendInBatches) {
    for (const char c : std::string("hello, world\n")) {
        EXPECT_EQ(get(lsr), 0x60);
        put(data, static_cast<std::uint8_t>(c));
    }
    EXPECT_EQ(terminal.writes, 0);
    board.advance(1'000'000);
    EXPECT_EQ(terminal.text, "hello, world\n");
    EXPECT_EQ(terminal.writes, 1);
    for (int i = 0; i < 5000; ++i) {
        put(data, 'x');
    }
    uart.flush();
    EXPECT_EQ(terminal.text.size(), 5013U);
    EXPECT_LE(terminal.writes, 7);
}

TEST_F(Uart16550Test, IsA16550AByItsFifoBits) {
    EXPECT_EQ(get(iir), 0x01);
    put(iir, 0x01);
    EXPECT_EQ(get(iir), 0xC1);
    put(scr, 0x5A);
    EXPECT_EQ(get(scr), 0x5A);
    put(lcr, 0x83);
    put(data, 1);
    put(ier, 2);
    EXPECT_EQ(get(data), 1);
    EXPECT_EQ(get(ier), 2);
    put(lcr, 0x03);
    EXPECT_EQ(get(ier), 0);
    put(ier, 0xFF);
    EXPECT_EQ(get(ier), 0x0F);
}

TEST_F(Uart16550Test, TransmitterInterrupt) {
    put(ier, 0x02);
    EXPECT_TRUE(irq4.level) << "the holding register is empty";
    EXPECT_EQ(get(iir), 0x02);
    EXPECT_FALSE(irq4.level) << "reading the identification acknowledges";
    EXPECT_EQ(get(iir), 0x01);
    put(data, 'a');
    EXPECT_EQ(get(iir), 0x02);
}

TEST_F(Uart16550Test, Out2ConnectsTheInterrupt) {
    put(mcr, 0x03);
    put(ier, 0x02);
    EXPECT_FALSE(irq4.level);
    put(mcr, 0x0B);
    EXPECT_TRUE(irq4.level);
}

TEST_F(Uart16550Test, ReceivesWithoutFifoOneByteAtATime) {
    put(ier, 0x01);
    terminal.type("ab");
    EXPECT_EQ(terminal.waiting, "b");
    EXPECT_TRUE(irq4.level);
    EXPECT_EQ(get(iir), 0x04);
    EXPECT_EQ(get(lsr), 0x61);
    EXPECT_EQ(get(data), 'a');
    EXPECT_EQ(terminal.resumes, 1);
    EXPECT_EQ(get(data), 'b');
    EXPECT_FALSE(irq4.level);
    EXPECT_EQ(get(lsr), 0x60);
    EXPECT_EQ(get(data), 0);
}

TEST_F(Uart16550Test, FifoTriggersAndTimesOut) {
    put(iir, 0x81); // 8 bytes
    put(ier, 0x01);
    terminal.type("1234567");
    EXPECT_FALSE(irq4.level);
    terminal.type("8");
    EXPECT_EQ(get(iir), 0xC4);
    EXPECT_EQ(get(data), '1');
    EXPECT_FALSE(irq4.level) << "below the trigger level";
    board.advance(10'000'000);
    EXPECT_TRUE(irq4.level);
    EXPECT_EQ(get(iir), 0xCC) << "character timeout";
    for (char c = '2'; c <= '8'; ++c) {
        EXPECT_EQ(get(data), c);
    }
    EXPECT_FALSE(irq4.level);
    board.advance(10'000'000);
    EXPECT_FALSE(irq4.level);
}

TEST_F(Uart16550Test, FifoHoldsSixteenAndCanBeCleared) {
    put(iir, 0x01);
    terminal.type("0123456789abcdefXYZ");
    EXPECT_EQ(terminal.waiting, "XYZ");
    put(iir, 0x03); // clear: what waited comes in
    EXPECT_EQ(terminal.waiting, "");
    EXPECT_EQ(get(data), 'X');
}

TEST_F(Uart16550Test, LoopMode) {
    terminal.type("");
    put(mcr, 0x1A); // loop, OUT2, RTS
    EXPECT_EQ(get(msr) & 0xF0, 0x90) << "CTS and DCD";
    EXPECT_EQ(get(msr) & 0x0F, 0x00) << "the deltas were read";
    put(mcr, 0x1E);
    EXPECT_EQ(get(msr), 0xD0) << "RI: its rise is no delta";
    put(mcr, 0x1A);
    EXPECT_EQ(get(msr), 0x94) << "its fall is";
    put(data, 0x77);
    EXPECT_EQ(get(lsr) & 0x03, 0x01);
    put(data, 0x78);
    EXPECT_EQ(get(lsr) & 0x03, 0x03) << "overrun";
    EXPECT_EQ(get(lsr) & 0x03, 0x01) << "reading clears it";
    EXPECT_EQ(get(data), 0x77);
    terminal.type("q");
    EXPECT_EQ(terminal.waiting, "q") << "the line is cut";
    put(mcr, 0x0B);
    EXPECT_EQ(get(data), 'q');
    uart.flush();
    EXPECT_EQ(terminal.text, "");
}

TEST_F(Uart16550Test, ModemStatusInterrupt) {
    get(msr);
    put(ier, 0x08);
    EXPECT_FALSE(irq4.level);
    put(mcr, 0x18);
    EXPECT_TRUE(irq4.level);
    EXPECT_EQ(get(iir), 0x00);
    get(msr);
    EXPECT_FALSE(irq4.level);
}

TEST_F(Uart16550Test, LineStatusComesFirst) {
    put(ier, 0x0F);
    put(mcr, 0x1B);
    put(data, 1);
    put(data, 2);
    EXPECT_EQ(get(iir), 0x06);
    get(lsr);
    EXPECT_EQ(get(iir), 0x04);
    get(data);
    EXPECT_EQ(get(iir), 0x02);
}

TEST_F(Uart16550Test, WorksWithoutBackend) {
    Uart16550 silent(board.environment, {.name = "serial1", .base = 0x2F8}, irq4.input(), nullptr);
    board.router.add(silent);
    board.out8(0x2F8, 'x');
    EXPECT_EQ(board.in8(0x2FD), 0x60);
    board.router.remove(silent);
}

TEST_F(Uart16550Test, SavesAndRestores) {
    put(iir, 0x81);
    put(ier, 0x01);
    put(lcr, 0x03);
    terminal.type("xyz");
    RecordedLine other;
    RecordedChar other_terminal;
    Uart16550 copy(board.environment, {}, other.input(), &other_terminal);
    expect_saves_and_restores(uart, copy);
    EXPECT_EQ(other_terminal.resumes, 1);
    board.advance(10'000'000);
    EXPECT_TRUE(other.level) << "the timeout goes on";
    EXPECT_EQ(copy.read(0, data, 1), static_cast<std::uint64_t>('x'));
}

} // namespace
} // namespace strata::devices
