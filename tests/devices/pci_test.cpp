// The PCI bus as an operating system's enumeration sees it.
#include "devices/pci/host_bridge.hpp"

#include "test_board.hpp"

namespace strata::devices::pci {
namespace {

constexpr std::uint64_t ecam = 0xE000'0000;

class Card final : public Function {
public:
    explicit Card(const Environment& environment, std::uint8_t pin = 1)
        : Function(environment, {.vendor = 0x1234,
                                 .device = 0x5678,
                                 .class_code = 0x020000,
                                 .revision = 3,
                                 .subsystem_vendor = 0xABCD,
                                 .subsystem = 0x9876,
                                 .interrupt_pin = pin}) {
        registers = add_bar(0, BarKind::memory64, 0x4000, "registers");
        ports = add_bar(2, BarKind::io, 0x40, "ports");
        add_msix(4, 3);
        const std::array<std::uint8_t, 4> body{1, 2, 3, 4}, writable{0, 0xFF, 0, 0x0F};
        capability = add_capability(0x09, body, writable);
    }

    [[nodiscard]] std::string_view name() const override { return "card"; }

    using Function::bus_master;
    using Function::notify;
    using Function::set_intx;

    unsigned registers = 0, ports = 0, capability = 0;
    std::uint64_t last_read = 0;
    unsigned resets = 0;

protected:
    std::uint64_t read_bar(unsigned region, std::uint64_t offset, unsigned /*size*/) override {
        return region == registers ? offset : 0x80 + offset;
    }

    void write_bar(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/,
                   std::uint64_t /*value*/) override {
        last_read = offset;
    }

    void on_reset() override { ++resets; }
};

class PciTest : public testing::Test {
protected:
    PciTest() {
        bus.add(3, 0, card);
        board.router.add(bridge);
    }

    // By the ports; `slot` and register.
    void select(unsigned slot, unsigned reg_offset, unsigned function = 0) {
        board.out32(0xCF8, 0x8000'0000 | slot << 11 | function << 8 | (reg_offset & 0xFC));
    }

    std::uint32_t config(unsigned reg_offset) {
        select(3, reg_offset);
        return board.in32(0xCFC);
    }

    void set_config(unsigned reg_offset, std::uint32_t value) {
        select(3, reg_offset);
        board.out32(0xCFC, value);
    }

    void set_command(std::uint16_t value) {
        select(3, reg::command);
        board.out16(0xCFC, value);
    }

    void enable_msix(std::uint16_t control = 0x8000) {
        set_config(reg::bar0 + 16, 0xC000'0000);
        set_command(command::memory | command::bus_master);
        select(3, 0x40);
        board.out16(0xCFE, control);
    }

    TestBoard board;
    Bus bus{board.environment};
    HostBridge bridge{board.environment, bus, ecam};
    Card card{board.environment};
};

TEST_F(PciTest, EnumeratesByPortsAndByEcam) {
    EXPECT_EQ(config(0), 0x56781234U);
    EXPECT_EQ(config(8), 0x02000003U);
    EXPECT_EQ(config(0x2C), 0x9876ABCDU);
    EXPECT_EQ(config(0x3C), 0x00000100U);
    EXPECT_EQ(board.read32(ecam + (3 << 15)), 0x56781234U);
    EXPECT_EQ(board.router.read(Space::memory, ecam + (3 << 15) + 2, 2), 0x5678U);
    select(0, 0);
    EXPECT_EQ(board.in32(0xCFC), 0x00081B36U) << "the host bridge";
    select(4, 0);
    EXPECT_EQ(board.in32(0xCFC), 0xFFFFFFFFU);
    EXPECT_EQ(board.in16(0xCFC), 0xFFFFU);
    EXPECT_EQ(board.read32(ecam + (4 << 15)), 0xFFFFFFFFU);
    board.out32(0xCF8, 3 << 11); // not enabled
    EXPECT_EQ(board.in32(0xCFC), 0xFFFFFFFFU);
    board.out32(0xCF8, 0x8001'0000); // bus 1
    EXPECT_EQ(board.in32(0xCFC), 0xFFFFFFFFU);
}

TEST_F(PciTest, AddressRegisterTakesDoublewordsOnly) {
    select(3, 8);
    board.out8(0xCF8, 0);
    board.out16(0xCFA, 0);
    EXPECT_EQ(board.in32(0xCF8), 0x80001808U);
    EXPECT_EQ(board.in8(0xCFF), 0x02U) << "bytes of the register by the low address bits";
    EXPECT_EQ(board.in16(0xCFE), 0x0200U);
}

TEST_F(PciTest, ResetControlRegister) {
    board.out8(0xCF9, 0x02);
    EXPECT_EQ(board.power.resets, 0);
    board.out8(0xCF9, 0x06);
    EXPECT_EQ(board.power.resets, 1);
}

TEST_F(PciTest, BarsTellTheirSizeAndMapWhenDecodingIsOn) {
    set_config(0x10, 0xFFFFFFFF);
    set_config(0x14, 0xFFFFFFFF);
    EXPECT_EQ(config(0x10), 0xFFFFC004U);
    EXPECT_EQ(config(0x14), 0xFFFFFFFFU);
    set_config(0x18, 0xFFFFFFFF);
    EXPECT_EQ(config(0x18), 0xFFFFFFC1U);
    set_config(0x1C, 0xFFFFFFFF);
    EXPECT_EQ(config(0x1C), 0U) << "no BAR";

    set_config(0x10, 0x8000'0000);
    set_config(0x14, 0x2);
    set_config(0x18, 0xC000);
    EXPECT_EQ(board.read32(0x2'8000'0010), 0xFFFFFFFFU);
    set_command(command::memory);
    EXPECT_EQ(board.read32(0x2'8000'0010), 0x10U);
    EXPECT_EQ(board.in8(0xC004), 0xFFU);
    set_command(command::memory | command::io);
    EXPECT_EQ(board.in8(0xC004), 0x84U);
    set_config(0x10, 0x9000'0000);
    EXPECT_EQ(board.read32(0x2'8000'0010), 0xFFFFFFFFU);
    EXPECT_EQ(board.read32(0x2'9000'0010), 0x10U);
    card.reset();
    EXPECT_EQ(card.resets, 1U);
    EXPECT_EQ(board.read32(0x2'9000'0010), 0xFFFFFFFFU);
}

TEST_F(PciTest, CapabilitiesAreAList) {
    EXPECT_EQ(config(reg::command) >> 16 & 0x10, 0x10U);
    const unsigned first = config(reg::capabilities) & 0xFF;
    EXPECT_EQ(first, 0x40U);
    EXPECT_EQ(config(first) & 0xFF, msix_capability_id);
    const unsigned second = config(first) >> 8 & 0xFF;
    EXPECT_EQ(second, card.capability);
    EXPECT_EQ(config(second), 0x02010009U);
    set_config(second, 0xFFFFFFFF);
    EXPECT_EQ(config(second), 0xFF010009U) << "only what is declared writable changes";
    EXPECT_EQ(config(first) >> 16, 2U) << "three vectors";
    EXPECT_EQ(config(first + 4), 4U) << "the table's BAR";
    EXPECT_EQ(config(first + 8), 0x1004U) << "the pending bits'";
}

TEST_F(PciTest, MsixSendsWhenNothingMasksIt) {
    enable_msix();
    board.write32(0xC000'0010, 0xFEE01000);
    board.write32(0xC000'0018, 0x4041);
    card.notify(1);
    EXPECT_TRUE(board.msi.sent.empty()) << "vectors are masked after reset";
    EXPECT_EQ(board.read32(0xC000'1000), 2U) << "pending";
    board.write32(0xC000'001C, 0);
    EXPECT_EQ(board.msi.sent, (decltype(board.msi.sent){{0xFEE01000, 0x4041}}));
    EXPECT_EQ(board.read32(0xC000'1000), 0U);
    card.notify(1);
    EXPECT_EQ(board.msi.sent.size(), 2U);
    card.notify(99);
    EXPECT_EQ(board.msi.sent.size(), 2U);
}

TEST_F(PciTest, MsixFunctionMaskHoldsBack) {
    enable_msix(0xC000);
    board.write32(0xC000'000C, 0);
    card.notify(0);
    EXPECT_TRUE(board.msi.sent.empty());
    enable_msix(0x8000);
    EXPECT_EQ(board.msi.sent.size(), 1U);
}

TEST_F(PciTest, MsixTableTakesEightByteAccesses) {
    enable_msix();
    board.router.write(Space::memory, 0xC000'0020, 8, 0x1'FEE02003);
    EXPECT_EQ(board.router.read(Space::memory, 0xC000'0020, 8), 0x1'FEE02000U);
    EXPECT_EQ(board.read32(0xC000'0030), 0U) << "past the last entry";
    EXPECT_EQ(board.read32(0xC000'002C), 1U);
}

TEST_F(PciTest, IntxIsSwizzledSharedAndSwitchable) {
    std::array<RecordedLine, 4> lines;
    for (unsigned i = 0; i < 4; ++i) {
        bus.connect_line(i, lines[i].input());
    }
    Card other(board.environment, 4);
    bus.add(4, 0, other); // INTD# of slot 4 and INTA# of slot 3 share a line
    card.set_intx(true);
    EXPECT_TRUE(lines[3].level);
    EXPECT_EQ(config(reg::command) >> 16 & status::interrupt, status::interrupt);
    other.set_intx(true);
    card.set_intx(false);
    EXPECT_TRUE(lines[3].level) << "the other still asserts it";
    other.set_intx(false);
    EXPECT_FALSE(lines[3].level);
    card.set_intx(true);
    set_command(command::intx_disable);
    EXPECT_FALSE(lines[3].level);
    set_command(0);
    EXPECT_TRUE(lines[3].level);
    enable_msix();
    EXPECT_FALSE(lines[3].level);
}

TEST_F(PciTest, SavesAndRestores) {
    enable_msix();
    board.write32(0xC000'000C, 0);
    board.write32(0xC000'0014, 7);
    set_config(0x10, 0x8000'0000);
    card.notify(1);
    TestBoard other;
    Bus other_bus(other.environment);
    Card copy(other.environment);
    other_bus.add(3, 0, copy);
    expect_saves_and_restores(card, copy);
    EXPECT_EQ(other.read32(0x8000'0020), 0x20U) << "the BAR is mapped again";
    EXPECT_EQ(other.read32(0xC000'1000), 2U);
}

TEST_F(PciTest, SavedStateOfAnotherCardIsRefused) {
    class OtherCard final : public Function {
    public:
        explicit OtherCard(const Environment& environment)
            : Function(environment, {.vendor = 1, .device = 2}) {
            add_bar(0, BarKind::memory64, 0x4000, "registers");
            add_bar(2, BarKind::io, 0x40, "ports");
            add_msix(4, 3);
        }

        [[nodiscard]] std::string_view name() const override { return "card"; }

    protected:
        std::uint64_t read_bar(unsigned, std::uint64_t, unsigned) override { return 0; }

        void write_bar(unsigned, std::uint64_t, unsigned, std::uint64_t) override {}

        void on_reset() override {}
    };

    StateWriter saved;
    saved.section("card");
    card.visit(saved);
    OtherCard other(board.environment);
    StateReader reader(saved.bytes());
    reader.section("card");
    other.visit(reader);
    EXPECT_EQ(reader.result().error().message, "saved state of card: field config: impossible value");
}

} // namespace
} // namespace strata::devices::pci
