// The small devices of the board: ACPI power management, fw_cfg, the keyboard controller, the debug ports.
#include "base/bytes.hpp"
#include "devices/acpi_pm.hpp"
#include "devices/debug_console.hpp"
#include "devices/debug_exit.hpp"
#include "devices/fw_cfg.hpp"
#include "devices/i8042.hpp"
#include "devices/post_port.hpp"
#include "devices/pvpanic.hpp"

#include "test_board.hpp"

#include <string>

namespace strata::devices {
namespace {

constexpr Nanoseconds second = 1'000'000'000;

class AcpiPmTest : public testing::Test {
protected:
    static constexpr std::uint16_t status = 0x600, enable = 0x602, control = 0x604, timer = 0x608,
                                   gpe_status = 0x620, gpe_enable = 0x622;

    AcpiPmTest() {
        board.router.add(pm);
        pm.reset();
    }

    TestBoard board;
    RecordedLine sci;
    AcpiPm pm{board.environment, sci.input()};
};

TEST_F(AcpiPmTest, TimerRunsAtItsRate) {
    EXPECT_EQ(board.in32(timer), 0U);
    board.advance(second);
    EXPECT_EQ(board.in32(timer), 3'579'545U);
    board.out32(timer, 0);
    EXPECT_EQ(board.in32(timer), 3'579'545U);
}

TEST_F(AcpiPmTest, TimerCarryInterrupts) {
    board.out16(enable, 1);
    const Nanoseconds half_turn = 599'932'500'000; // about 2^31 ticks
    board.advance(half_turn - second);
    EXPECT_FALSE(sci.level);
    board.advance(2 * second);
    EXPECT_TRUE(sci.level);
    EXPECT_EQ(board.in16(status), 1);
    board.out16(status, 1);
    EXPECT_FALSE(sci.level);
    board.advance(half_turn);
    EXPECT_TRUE(sci.level);
}

TEST_F(AcpiPmTest, PowerButtonRaisesSciUntilAcknowledged) {
    pm.press_power_button();
    EXPECT_FALSE(sci.level);
    board.out16(enable, 0x100);
    EXPECT_TRUE(sci.level);
    EXPECT_EQ(board.in16(status), 0x100);
    EXPECT_EQ(board.in32(status), 0x01000100U);
    board.out16(status, 0x100);
    EXPECT_FALSE(sci.level);
}

TEST_F(AcpiPmTest, PowersOffByS5) {
    EXPECT_EQ(board.in16(control), 1) << "ACPI is always enabled";
    board.out16(control, 0x2000 | 3 << 10);
    EXPECT_EQ(board.power.power_offs, 0) << "another sleep type";
    board.out16(control, 0x2000);
    EXPECT_EQ(board.power.power_offs, 1);
}

TEST_F(AcpiPmTest, GeneralPurposeEvents) {
    board.out8(gpe_enable, 0x04);
    EXPECT_EQ(board.in8(gpe_enable), 0x04);
    pm.raise_event(3);
    EXPECT_FALSE(sci.level);
    pm.raise_event(2);
    EXPECT_TRUE(sci.level);
    EXPECT_EQ(board.in8(gpe_status), 0x0C);
    board.out8(gpe_status, 0x04);
    EXPECT_FALSE(sci.level);
    board.out8(gpe_enable + 1, 0x80);
    EXPECT_EQ(board.in16(gpe_enable), 0x8004);
}

TEST_F(AcpiPmTest, SavesAndRestores) {
    board.out16(enable, 0x101);
    pm.press_power_button();
    RecordedLine other;
    AcpiPm copy(board.environment, other.input());
    expect_saves_and_restores(pm, copy);
    EXPECT_TRUE(other.level);
}

class FwCfgTest : public testing::Test {
protected:
    FwCfgTest() { board.router.add(fw_cfg); }

    std::string read_item(std::uint16_t key, std::size_t length) {
        board.out16(0x510, key);
        std::string text;
        for (std::size_t i = 0; i < length; ++i) {
            text += static_cast<char>(board.in8(0x511));
        }
        return text;
    }

    static std::vector<std::byte> bytes(std::string_view text) {
        const auto span = std::as_bytes(std::span(text));
        return {span.begin(), span.end()};
    }

    // Runs a DMA command with its descriptor at 0x1000; returns the control word after it.
    std::uint32_t dma(std::uint32_t control, std::uint32_t length, std::uint64_t address) {
        std::array<std::byte, 16> descriptor{};
        store_be(&descriptor[0], control);
        store_be(&descriptor[4], length);
        store_be(&descriptor[8], address);
        EXPECT_TRUE(board.memory->write(0x1000, descriptor.data(), descriptor.size()));
        board.out32(0x514, 0);
        board.out32(0x518, byte_swap(std::uint32_t{0x1000}));
        EXPECT_TRUE(board.memory->read(0x1000, descriptor.data(), 4));
        return load_be<std::uint32_t>(descriptor.data());
    }

    std::string guest_text(std::uint64_t address, std::size_t length) {
        std::string text(length, '\0');
        EXPECT_TRUE(board.memory->read(address, text.data(), length));
        return text;
    }

    TestBoard board;
    FwCfg fw_cfg{board.environment};
};

TEST_F(FwCfgTest, IdentifiesItself) {
    EXPECT_EQ(read_item(FwCfg::signature, 5), std::string("QEMU\0", 5));
    EXPECT_EQ(read_item(FwCfg::id, 4), std::string("\3\0\0\0", 4));
    EXPECT_EQ(board.in32(0x514), 0x554D4551U); // "QEMU"
    EXPECT_EQ(board.in32(0x518), 0x47464320U); // " CFG"
}

TEST_F(FwCfgTest, FilesAreInTheDirectory) {
    fw_cfg.add_file("etc/first", bytes("one"));
    fw_cfg.add_file("etc/second", bytes("twotwo"));
    fw_cfg.add_file("etc/first", bytes("changed"));
    const std::string directory = read_item(FwCfg::file_directory, 4 + 2 * 64 + 1);
    EXPECT_EQ(directory.substr(0, 4), std::string("\0\0\0\2", 4));
    EXPECT_EQ(directory.substr(4, 8), std::string("\0\0\0\7\0\x20\0\0", 8));
    EXPECT_STREQ(directory.c_str() + 12, "etc/first");
    EXPECT_STREQ(directory.c_str() + 76, "etc/second");
    EXPECT_EQ(read_item(0x20, 9), std::string("changed\0\0", 9));
    EXPECT_EQ(read_item(0x3FF, 2), std::string(2, '\0')) << "no such item";
}

TEST_F(FwCfgTest, DmaReadsSelectsAndSkips) {
    fw_cfg.add_file("f", bytes("0123456789"));
    EXPECT_EQ(dma(0x0020'0008 | 2, 4, 0x2000), 0U);
    EXPECT_EQ(guest_text(0x2000, 4), "0123");
    EXPECT_EQ(dma(4, 2, 0), 0U);
    EXPECT_EQ(dma(2, 6, 0x2000), 0U);
    EXPECT_EQ(guest_text(0x2000, 6), std::string("6789\0\0", 6)) << "zeros past the end";
}

TEST_F(FwCfgTest, DmaErrors) {
    EXPECT_EQ(dma(0x0000'0008 | 2, 4, TestBoard::memory_size - 2), 1U) << "past the end of RAM";
    EXPECT_EQ(dma(2, 0xFFFFFFFF, 0), 1U);
    EXPECT_EQ(dma(2, 1, ~std::uint64_t{0}), 1U);
    EXPECT_EQ(dma(16, 1, 0x2000), 1U) << "no item can be written";
    board.out32(0x514, 0xFFFFFFFF);
    board.out32(0x518, 0xFFFFFFFF); // a descriptor that is nowhere
}

TEST_F(FwCfgTest, SavesAndRestores) {
    read_item(FwCfg::signature, 2);
    FwCfg copy(board.environment);
    expect_saves_and_restores(fw_cfg, copy);
    EXPECT_EQ(copy.read(0, 1, 1), static_cast<std::uint64_t>('M'));
}

class I8042Test : public testing::Test {
protected:
    I8042Test() { board.router.add(i8042); }

    std::uint8_t ask(std::uint8_t command) {
        board.out8(0x64, command);
        EXPECT_EQ(board.in8(0x64) & 1, 1) << "an answer is there";
        const std::uint8_t answer = board.in8(0x60);
        EXPECT_EQ(board.in8(0x64) & 1, 0);
        return answer;
    }

    TestBoard board;
    I8042 i8042{board.environment};
};

TEST_F(I8042Test, AnswersTests) {
    EXPECT_EQ(board.in8(0x64) & 0x03, 0);
    EXPECT_EQ(ask(0xAA), 0x55);
    EXPECT_EQ(ask(0xAB), 0x00);
    board.out8(0x64, 0x60);
    board.out8(0x60, 0x45);
    EXPECT_EQ(ask(0x20), 0x45);
    board.out8(0x60, 0xFF); // a keyboard reset, and no keyboard
    EXPECT_EQ(board.in8(0x64) & 1, 0);
}

TEST_F(I8042Test, PulsesReset) {
    board.out8(0x64, 0xF1);
    EXPECT_EQ(board.power.resets, 0);
    board.out8(0x64, 0xFE);
    EXPECT_EQ(board.power.resets, 1);
    board.out8(0x92, 0x03);
    EXPECT_EQ(board.power.resets, 2);
    board.out8(0x64, 0xD1);
    board.out8(0x60, 0x02);
    EXPECT_EQ(board.power.resets, 3);
}

TEST_F(I8042Test, A20GateIsRemembered) {
    EXPECT_EQ(board.in8(0x92) & 2, 2);
    board.out8(0x64, 0xD1);
    board.out8(0x60, 0xDD);
    EXPECT_EQ(ask(0xD0), 0xDD);
    board.out8(0x64, 0xDF);
    EXPECT_EQ(ask(0xD0), 0xDF);
    board.out8(0x92, 0x00);
    EXPECT_EQ(board.in8(0x92), 0x00);
}

TEST_F(I8042Test, SavesAndRestores) {
    board.out8(0x64, 0xD1);
    I8042 copy(board.environment);
    expect_saves_and_restores(i8042, copy);
}

TEST(DebugPorts, ConsoleTakesBytesAtBothPorts) {
    class Collector final : public backends::CharBackend {
    public:
        void write(std::span<const std::byte> bytes) override {
            for (const std::byte byte : bytes) {
                text += static_cast<char>(byte);
            }
        }

        std::string text;
    };

    TestBoard board;
    Collector collector;
    DebugConsole console(board.environment, &collector);
    board.router.add(console);
    EXPECT_EQ(board.in8(0xE9), 0xE9);
    EXPECT_EQ(board.in8(0x402), 0xE9);
    board.out8(0xE9, 'a');
    board.out8(0x402, 'b');
    board.advance(1'000'000);
    EXPECT_EQ(collector.text, "ab");
}

TEST(DebugPorts, ExitStatusIsOdd) {
    TestBoard board;
    DebugExit debug_exit(board.environment);
    board.router.add(debug_exit);
    board.out32(0xF4, 0x10);
    board.out8(0x501, 0);
    board.out8(0xF4, 0xFF);
    EXPECT_EQ(board.power.exits, (std::vector<int>{0x21, 1, 0xFF}));
}

TEST(DebugPorts, PvPanicReportsPanics) {
    TestBoard board;
    PvPanic pvpanic(board.environment);
    board.router.add(pvpanic);
    EXPECT_EQ(board.in8(0x505), 3);
    board.out8(0x505, 2);
    EXPECT_EQ(board.power.panics, 0);
    board.out8(0x505, 1);
    EXPECT_EQ(board.power.panics, 1);
}

TEST(DebugPorts, PostCode) {
    TestBoard board;
    PostPort post;
    board.router.add(post);
    board.out8(0x80, 0x42);
    EXPECT_EQ(post.code(), 0x42);
    board.out8(0x87, 0x12);
    EXPECT_EQ(board.in8(0x87), 0x12);
}

} // namespace
} // namespace strata::devices
