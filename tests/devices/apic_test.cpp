// Local APICs, the I/O APIC and messages between them, as a kernel's interrupt code uses them.
#include "devices/irq/i8259.hpp"
#include "devices/irq/io_apic.hpp"
#include "devices/irq/local_apic.hpp"

#include "test_board.hpp"

#include <memory>

namespace strata::devices {
namespace {

class Processor final : public InterruptTarget {
public:
    void set_interrupt(bool asserted) override { interrupt = asserted; }

    void nmi() override { ++nmis; }

    void smi() override { ++smis; }

    void init() override { ++inits; }

    void startup(std::uint8_t vector) override { startups.push_back(vector); }

    bool interrupt = false;
    int nmis = 0, smis = 0, inits = 0;
    std::vector<std::uint8_t> startups;
};

// Offsets in the register page.
enum Offset : std::uint32_t {
    id = 0x20,
    version = 0x30,
    tpr = 0x80,
    ppr = 0xA0,
    eoi = 0xB0,
    ldr = 0xD0,
    dfr = 0xE0,
    svr = 0xF0,
    isr = 0x100,
    tmr = 0x180,
    irr = 0x200,
    esr = 0x280,
    icr_low = 0x300,
    icr_high = 0x310,
    lvt_timer = 0x320,
    lvt_lint0 = 0x350,
    lvt_lint1 = 0x360,
    lvt_error = 0x370,
    initial_count = 0x380,
    current_count = 0x390,
    divide = 0x3E0,
};

constexpr std::uint32_t base_msr = 0x1B, deadline_msr = 0x6E0;
constexpr std::uint64_t ioapic_base = IoApic::default_base;

class ApicTest : public testing::Test {
protected:
    static constexpr std::uint32_t count = 4;

    ApicTest() {
        for (std::uint32_t i = 0; i < count; ++i) {
            apics.push_back(std::make_unique<LocalApic>(
                board.environment, bus, cpus[i],
                LocalApic::Config{.id = i, .bootstrap = i == 0, .timer = {.tsc_hz = 2'000'000'000}}, &pic));
            write(i, svr, 0x1FF);
        }
        board.router.add(ioapic);
    }

    void write(std::uint32_t cpu, std::uint32_t offset, std::uint32_t value) {
        apics[cpu]->write(0, offset, 4, value);
    }

    std::uint32_t read(std::uint32_t cpu, std::uint32_t offset) {
        return static_cast<std::uint32_t>(apics[cpu]->read(0, offset, 4));
    }

    // The vector register's bit, at one of isr, tmr and irr.
    bool has(std::uint32_t cpu, std::uint32_t set, unsigned vector) {
        return (read(cpu, set + vector / 32 * 16) >> (vector % 32) & 1) != 0;
    }

    void ipi(std::uint32_t cpu, std::uint32_t command, std::uint32_t destination = 0) {
        write(cpu, icr_high, destination << 24);
        write(cpu, icr_low, command);
    }

    void redirect(unsigned pin, std::uint32_t low, std::uint32_t destination = 0) {
        board.write32(ioapic_base, 0x11 + pin * 2);
        board.write32(ioapic_base + 0x10, destination << 24);
        board.write32(ioapic_base, 0x10 + pin * 2);
        board.write32(ioapic_base + 0x10, low);
    }

    std::uint32_t redirection(unsigned pin) {
        board.write32(ioapic_base, 0x10 + pin * 2);
        return board.read32(ioapic_base + 0x10);
    }

    void enable_x2apic(std::uint32_t cpu) {
        const auto base = *apics[cpu]->read_msr(base_msr);
        ASSERT_TRUE(apics[cpu]->write_msr(base_msr, base | 0x400));
    }

    TestBoard board;
    ApicBus bus;
    std::array<Processor, count> cpus;
    I8259Pair pic{[this](bool asserted) { apics[0]->set_lint(0, asserted); }};
    std::vector<std::unique_ptr<LocalApic>> apics;
    IoApic ioapic{bus, 1};
};

TEST_F(ApicTest, IdentifiesItself) {
    EXPECT_EQ(read(2, id), 2U << 24);
    EXPECT_EQ(read(0, version) & 0xFF00FF, 0x060014U);
    EXPECT_EQ(*apics[0]->read_msr(base_msr), 0xFEE00900U);
    EXPECT_EQ(*apics[1]->read_msr(base_msr), 0xFEE00800U);
    EXPECT_TRUE(apics[0]->answers(0xFEE00FFF));
    EXPECT_FALSE(apics[0]->answers(0xFEE01000));
}

TEST_F(ApicTest, PhysicalIpiReachesOneAndGoesThroughIrrAndIsr) {
    ipi(0, 0x4041, 2);
    EXPECT_TRUE(cpus[2].interrupt);
    EXPECT_FALSE(cpus[1].interrupt);
    EXPECT_TRUE(has(2, irr, 0x41));
    EXPECT_EQ(apics[2]->acknowledge(), 0x41);
    EXPECT_FALSE(cpus[2].interrupt);
    EXPECT_TRUE(has(2, isr, 0x41));
    EXPECT_FALSE(has(2, irr, 0x41));
    EXPECT_EQ(read(2, ppr), 0x40U);
    write(2, eoi, 0);
    EXPECT_FALSE(has(2, isr, 0x41));
    EXPECT_EQ(apics[2]->acknowledge(), std::nullopt);
}

TEST_F(ApicTest, HigherPrioritiesNestLowerOnesWait) {
    ipi(0, 0x4051, 1);
    EXPECT_EQ(apics[1]->acknowledge(), 0x51);
    ipi(0, 0x4055, 1);
    EXPECT_FALSE(cpus[1].interrupt) << "the same class waits";
    ipi(0, 0x4061, 1);
    EXPECT_EQ(apics[1]->acknowledge(), 0x61);
    write(1, eoi, 0);
    EXPECT_FALSE(cpus[1].interrupt);
    write(1, eoi, 0);
    EXPECT_EQ(apics[1]->acknowledge(), 0x55);
}

TEST_F(ApicTest, TaskPriorityHoldsInterruptsBack) {
    apics[1]->set_task_priority(5);
    EXPECT_EQ(read(1, tpr), 0x50U);
    ipi(0, 0x405F, 1);
    EXPECT_FALSE(cpus[1].interrupt);
    write(1, tpr, 0x4F);
    EXPECT_EQ(apics[1]->task_priority(), 4);
    EXPECT_TRUE(cpus[1].interrupt);
    write(1, tpr, 0x50);
    EXPECT_FALSE(cpus[1].interrupt);
    EXPECT_EQ(apics[1]->acknowledge(), std::nullopt) << "the request has gone";
}

TEST_F(ApicTest, ShorthandsAndBroadcasts) {
    ipi(1, 0x44031); // self
    EXPECT_EQ(apics[1]->acknowledge(), 0x31);
    ipi(1, 0xC4032); // all but self
    EXPECT_FALSE(cpus[1].interrupt);
    EXPECT_TRUE(cpus[0].interrupt && cpus[2].interrupt && cpus[3].interrupt);
    ipi(1, 0x4043, 0xFF); // physical broadcast
    EXPECT_EQ(apics[1]->acknowledge(), 0x43);
    EXPECT_EQ(apics[0]->acknowledge(), 0x43);
    ipi(1, 0x84054); // all including self
    EXPECT_EQ(apics[1]->acknowledge(), 0x54);
}

TEST_F(ApicTest, LogicalFlatAndCluster) {
    for (std::uint32_t i = 0; i < count; ++i) {
        write(i, ldr, 1U << (24 + i));
    }
    ipi(0, 0x4800 | 0x41, 0b1010);
    EXPECT_TRUE(cpus[1].interrupt && cpus[3].interrupt);
    EXPECT_FALSE(cpus[0].interrupt || cpus[2].interrupt);
    for (std::uint32_t i = 0; i < count; ++i) {
        write(i, dfr, 0x0FFFFFFF);
        write(i, ldr, ((i / 2) << 28) | 1U << (24 + i % 2));
    }
    ipi(0, 0x4800 | 0x61, 0x12); // cluster 1, member 1
    EXPECT_EQ(apics[3]->acknowledge(), 0x61);
    EXPECT_FALSE(has(1, irr, 0x61));
    ipi(0, 0x4800 | 0x71, 0xF1); // member 0 of every cluster
    EXPECT_EQ(apics[0]->acknowledge(), 0x71);
    EXPECT_EQ(apics[2]->acknowledge(), 0x71);
}

TEST_F(ApicTest, LowestPriorityChoosesTheIdlest) {
    for (std::uint32_t i = 0; i < count; ++i) {
        write(i, ldr, 1U << (24 + i));
        write(i, tpr, 0x30);
    }
    write(2, tpr, 0x10);
    ipi(0, 0x4900 | 0x51, 0xF);
    EXPECT_TRUE(has(2, irr, 0x51));
    EXPECT_FALSE(has(0, irr, 0x51) || has(1, irr, 0x51) || has(3, irr, 0x51));
}

TEST_F(ApicTest, StartsAProcessor) {
    ipi(0, 0xC500, 1);
    EXPECT_EQ(cpus[1].inits, 1);
    EXPECT_EQ(read(1, svr), 0xFFU) << "INIT resets the local APIC";
    ipi(0, 0x8500, 1); // level de-assert
    EXPECT_EQ(cpus[1].inits, 1);
    ipi(0, 0x4600 | 0x9A, 1);
    EXPECT_EQ(cpus[1].startups, (std::vector<std::uint8_t>{0x9A}));
    ipi(0, 0x4400, 1);
    ipi(0, 0x4200, 1);
    EXPECT_EQ(cpus[1].nmis, 1);
    EXPECT_EQ(cpus[1].smis, 1);
}

TEST_F(ApicTest, IllegalVectorsAreErrors) {
    write(0, lvt_error, 0xFE);
    ipi(0, 0x4005, 1);
    EXPECT_EQ(apics[0]->acknowledge(), 0xFE);
    write(0, esr, 0);
    EXPECT_EQ(read(0, esr), 0x20U);
    write(0, esr, 0);
    EXPECT_EQ(read(0, esr), 0U);
    bus.send_msi(0xFEE01000, 0x03);
    write(1, esr, 0);
    EXPECT_EQ(read(1, esr), 0x40U);
    (void)read(1, 0x3F0);
    write(1, esr, 0);
    EXPECT_EQ(read(1, esr), 0x80U);
}

TEST_F(ApicTest, SoftwareDisabledTakesNoInterruptsAndMasksItsTable) {
    write(1, lvt_timer, 0x40);
    write(1, svr, 0xFF);
    EXPECT_EQ(read(1, lvt_timer), 0x10040U);
    write(1, lvt_timer, 0x41);
    EXPECT_EQ(read(1, lvt_timer), 0x10041U) << "the mask can't be cleared";
    ipi(0, 0x4041, 1);
    EXPECT_FALSE(cpus[1].interrupt);
    ipi(0, 0x4400, 1);
    EXPECT_EQ(cpus[1].nmis, 1) << "NMI gets through";
}

TEST_F(ApicTest, X2ApicTransitionsAndRegisters) {
    auto& apic = *apics[3];
    EXPECT_FALSE(apic.read_msr(0x802));
    const auto base = *apic.read_msr(base_msr);
    EXPECT_FALSE(apic.write_msr(base_msr, (base & ~0x800ULL) | 0x400)) << "x2APIC without enable";
    EXPECT_FALSE(apic.write_msr(base_msr, base | 0x1)) << "reserved bit";
    EXPECT_TRUE(apic.write_msr(base_msr, base | 0x400));
    EXPECT_FALSE(apic.answers(0xFEE00000));
    EXPECT_EQ(apic.read_msr(0x802), 3U);
    EXPECT_EQ(apic.read_msr(0x80D), 0x8U) << "the logical ID comes from the ID";
    EXPECT_FALSE(apic.read_msr(0x80E)) << "no destination format";
    EXPECT_FALSE(apic.read_msr(0x831));
    EXPECT_FALSE(apic.write_msr(0x80D, 1));
    EXPECT_FALSE(apic.write_msr(0x80B, 1)) << "EOI takes 0 only";
    EXPECT_TRUE(apic.write_msr(0x80B, 0));
    EXPECT_FALSE(apic.write_msr(base_msr, base)) << "straight back to xAPIC mode";
    EXPECT_TRUE(apic.write_msr(0x83F, 0x77)); // self IPI
    EXPECT_EQ(apic.acknowledge(), 0x77);
    EXPECT_TRUE(apic.write_msr(base_msr, base & ~0xC00ULL));
    EXPECT_FALSE(apic.enabled());
    EXPECT_FALSE(apic.write_msr(base_msr, base | 0x400)) << "from disabled to x2APIC";
    EXPECT_TRUE(apic.write_msr(base_msr, base));
}

TEST_F(ApicTest, X2ApicIpis) {
    for (std::uint32_t i = 0; i < count; ++i) {
        enable_x2apic(i);
    }
    EXPECT_TRUE(apics[0]->write_msr(0x830, (std::uint64_t{2} << 32) | 0x41));
    EXPECT_EQ(apics[2]->acknowledge(), 0x41);
    EXPECT_EQ(*apics[0]->read_msr(0x830), (std::uint64_t{2} << 32) | 0x41);
    EXPECT_TRUE(
        apics[0]->write_msr(0x830, (std::uint64_t{0b1010} << 32) | 0x800 | 0x51)); // logical, cluster 0
    EXPECT_EQ(apics[1]->acknowledge(), 0x51);
    EXPECT_EQ(apics[3]->acknowledge(), 0x51);
    EXPECT_FALSE(cpus[0].interrupt);
    EXPECT_TRUE(apics[0]->write_msr(0x830, 0xFFFFFFFF'00000061));
    EXPECT_EQ(apics[0]->acknowledge(), 0x61);
}

TEST_F(ApicTest, OneShotTimerCountsDownAndFiresOnce) {
    write(0, divide, 0x3); // by 16
    write(0, lvt_timer, 0x40);
    write(0, initial_count, 1000); // 16 us at 1 GHz
    board.advance(8'000);
    EXPECT_EQ(read(0, current_count), 500U);
    EXPECT_FALSE(cpus[0].interrupt);
    board.advance(8'000);
    EXPECT_EQ(apics[0]->acknowledge(), 0x40);
    EXPECT_EQ(read(0, current_count), 0U);
    write(0, eoi, 0);
    board.advance(100'000);
    EXPECT_FALSE(cpus[0].interrupt);
}

TEST_F(ApicTest, PeriodicTimerFiresAgain) {
    write(0, divide, 0xB); // by 1
    write(0, lvt_timer, 0x20040);
    write(0, initial_count, 1'000'000);
    for (int i = 0; i < 5; ++i) {
        board.advance(1'000'000);
        EXPECT_EQ(apics[0]->acknowledge(), 0x40) << i;
        write(0, eoi, 0);
    }
    board.advance(700'000);
    EXPECT_EQ(read(0, current_count), 300'000U);
    write(0, initial_count, 0);
    board.advance(5'000'000);
    EXPECT_FALSE(cpus[0].interrupt);
}

TEST_F(ApicTest, TscDeadlineFiresAtTheDeadline) {
    EXPECT_TRUE(apics[0]->write_msr(deadline_msr, 5000));
    EXPECT_EQ(*apics[0]->read_msr(deadline_msr), 0U) << "not in this mode";
    write(0, lvt_timer, 0x40040);
    EXPECT_TRUE(apics[0]->write_msr(deadline_msr, 20'000)); // 10 us at 2 GHz
    EXPECT_EQ(*apics[0]->read_msr(deadline_msr), 20'000U);
    board.advance(9'999);
    EXPECT_FALSE(cpus[0].interrupt);
    board.advance(1);
    EXPECT_EQ(apics[0]->acknowledge(), 0x40);
    EXPECT_EQ(*apics[0]->read_msr(deadline_msr), 0U);
    write(0, eoi, 0);
    EXPECT_TRUE(apics[0]->write_msr(deadline_msr, 1)); // past: at once
    EXPECT_TRUE(cpus[0].interrupt);
}

TEST_F(ApicTest, VirtualWireModeThroughLint0) {
    board.router.add(pic);
    for (const auto& [port, value] : std::vector<std::pair<std::uint16_t, std::uint8_t>>{
             {0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}, {0x21, 0}}) {
        board.out8(port, value);
    }
    write(0, lvt_lint0, 0x700); // ExtINT
    pic.set_irq(0, true);
    EXPECT_TRUE(cpus[0].interrupt);
    EXPECT_EQ(apics[0]->acknowledge(), 0x20);
    EXPECT_FALSE(cpus[0].interrupt);
    EXPECT_FALSE(has(0, isr, 0x20)) << "the 8259 has it in service, not the local APIC";
    board.out8(0x20, 0x20);
    pic.set_irq(0, false);
    pic.set_irq(0, true);
    write(0, lvt_lint0, 0x10700);
    EXPECT_FALSE(cpus[0].interrupt) << "masked";
    const auto base = *apics[0]->read_msr(base_msr);
    EXPECT_TRUE(apics[0]->write_msr(base_msr, base & ~0x800ULL));
    EXPECT_TRUE(cpus[0].interrupt) << "a disabled local APIC passes INTR through";
    EXPECT_EQ(apics[0]->acknowledge(), 0x20);
    apics[0]->set_lint(1, true);
    EXPECT_EQ(cpus[0].nmis, 1) << "and NMI";
}

TEST_F(ApicTest, Lint1IsAnNmi) {
    write(2, lvt_lint1, 0x400);
    apics[2]->set_lint(1, true);
    apics[2]->set_lint(1, true);
    EXPECT_EQ(cpus[2].nmis, 1);
}

TEST_F(ApicTest, MsiReachesItsDestination) {
    bus.send_msi(0xFEE03000, 0x4061);
    EXPECT_EQ(apics[3]->acknowledge(), 0x61);
    bus.send_msi(0xFEC00000, 0x4061); // an ordinary address
    bus.send_msi(0x1'FEE03000, 0x4061);
    EXPECT_FALSE(cpus[3].interrupt);
    write(1, ldr, 1U << 25);
    bus.send_msi(0xFEE0200C, 0x4162); // logical, lowest priority
    EXPECT_EQ(apics[1]->acknowledge(), 0x62);
}

TEST_F(ApicTest, IoApicEdge) {
    redirect(4, 0x30 | 1 << 16, 1);
    ioapic.set_pin(4, true);
    EXPECT_FALSE(cpus[1].interrupt) << "masked";
    redirect(4, 0x30, 1);
    EXPECT_FALSE(cpus[1].interrupt) << "an edge on a masked pin is lost";
    ioapic.set_pin(4, false);
    ioapic.set_pin(4, true);
    EXPECT_EQ(apics[1]->acknowledge(), 0x30);
    EXPECT_FALSE(has(1, tmr, 0x30));
}

TEST_F(ApicTest, IoApicLevelWaitsForEoi) {
    redirect(10, 0x8030, 2);
    ioapic.set_pin(10, true);
    EXPECT_EQ(redirection(10), 0xC030U) << "remote IRR";
    EXPECT_EQ(apics[2]->acknowledge(), 0x30);
    EXPECT_TRUE(has(2, tmr, 0x30));
    write(2, eoi, 0);
    EXPECT_EQ(apics[2]->acknowledge(), 0x30) << "the pin is still asserted";
    ioapic.set_pin(10, false);
    write(2, eoi, 0);
    EXPECT_FALSE(cpus[2].interrupt);
    EXPECT_EQ(redirection(10), 0x8030U);
}

TEST_F(ApicTest, IoApicEoiRegisterAndSuppressedBroadcast) {
    write(2, svr, 0x11FF); // EOIs are not broadcast
    redirect(10, 0x8030, 2);
    ioapic.set_pin(10, true);
    (void)apics[2]->acknowledge();
    ioapic.set_pin(10, false);
    write(2, eoi, 0);
    EXPECT_EQ(redirection(10), 0xC030U);
    board.write32(ioapic_base + 0x40, 0x30);
    EXPECT_EQ(redirection(10), 0x8030U);
}

TEST_F(ApicTest, IoApicRegisters) {
    board.write32(ioapic_base, 1);
    EXPECT_EQ(board.read32(ioapic_base + 0x10), 0x00170020U);
    board.write32(ioapic_base, 0);
    EXPECT_EQ(board.read32(ioapic_base + 0x10), 1U << 24);
    EXPECT_EQ(redirection(23), 0x10000U);
    board.write32(ioapic_base, 0x40); // past the table
    board.write32(ioapic_base + 0x10, 0);
    EXPECT_EQ(board.read32(ioapic_base + 0x10), 0U);
    redirect(0, 0xFFFFFFFF, 0xFF);
    EXPECT_EQ(redirection(0), 0x1AFFFU) << "status bits are read-only";
}

// As to a processor that has a local APIC of its own, and back.
TEST_F(ApicTest, MovesWithAllItHolds) {
    write(0, tpr, 0x20);
    write(0, ldr, 0x0100'0000);
    write(0, lvt_lint0, 0x700);
    write(0, lvt_timer, 0x20040); // periodic
    write(0, divide, 0xB);
    write(0, initial_count, 1000);
    ipi(0, 0x4051);
    ipi(0, 0x4061);
    EXPECT_EQ(apics[0]->acknowledge(), 0x61);
    board.clock.advance(300);
    const auto state = apics[0]->registers();
    EXPECT_EQ(state.page[current_count / 16], 700U);
    apics[0]->reset();
    apics[0]->set_registers(state);
    EXPECT_EQ(apics[0]->registers().page, state.page);
    EXPECT_EQ(apics[0]->registers().base, state.base);
    EXPECT_TRUE(has(0, isr, 0x61));
    EXPECT_TRUE(has(0, irr, 0x51));
    board.advance(700);
    EXPECT_TRUE(has(0, irr, 0x40)) << "its timer went on";
}

TEST_F(ApicTest, ADeadlineMoves) {
    write(0, lvt_timer, 0x40040);
    ASSERT_TRUE(apics[0]->write_msr(deadline_msr, 2'000'000));
    const auto state = apics[0]->registers();
    EXPECT_EQ(state.deadline, 2'000'000U);
    apics[0]->reset();
    apics[0]->set_registers(state);
    board.advance(1'000'000);
    EXPECT_TRUE(has(0, irr, 0x40));
}

// The processor's own local APIC has what was here; the 8259's interrupt still comes this way.
TEST_F(ApicTest, DormantOnlyLint0IsHeard) {
    write(0, lvt_timer, 0x20040);
    write(0, initial_count, 1000);
    ipi(0, 0x4051);
    EXPECT_TRUE(cpus[0].interrupt);
    apics[0]->set_dormant(true);
    EXPECT_FALSE(cpus[0].interrupt);
    board.advance(5000);
    EXPECT_FALSE(cpus[0].interrupt);
    apics[0]->set_lint(0, true);
    EXPECT_TRUE(cpus[0].interrupt);
    apics[0]->set_lint(0, false);
    EXPECT_FALSE(cpus[0].interrupt);
}

class Carrier final : public MessageCarrier {
public:
    void carry(const InterruptMessage& message) override { carried.push_back(message.vector); }

    void set_level_messages(std::span<const InterruptMessage> messages) override {
        level.clear();
        for (const InterruptMessage& message : messages) {
            level.push_back(message.vector);
        }
    }

    std::vector<std::uint8_t> carried, level;
};

TEST_F(ApicTest, ACarrierHasAllMessages) {
    Carrier carrier;
    redirect(9, 0x8059); // level-triggered
    bus.set_carrier(&carrier);
    EXPECT_EQ(carrier.level, std::vector<std::uint8_t>{0x59});
    redirect(10, 0x805A);
    EXPECT_EQ(carrier.level, (std::vector<std::uint8_t>{0x59, 0x5A}));
    redirect(10, 0x5A);
    EXPECT_EQ(carrier.level, std::vector<std::uint8_t>{0x59});
    ioapic.set_pin(9, true);
    bus.send_msi(0xFEE0'0000, 0x71);
    EXPECT_EQ(carrier.carried, (std::vector<std::uint8_t>{0x59, 0x71}));
    bus.broadcast_eoi(0x59); // it is asserted still
    EXPECT_EQ(carrier.carried, (std::vector<std::uint8_t>{0x59, 0x71, 0x59}));
    EXPECT_FALSE(has(0, irr, 0x59));
    bus.set_carrier(nullptr);
    bus.send_msi(0xFEE0'0000, 0x72);
    EXPECT_TRUE(has(0, irr, 0x72));
}

TEST_F(ApicTest, SavesAndRestores) {
    ipi(0, 0x4041, 1);
    (void)apics[1]->acknowledge();
    ipi(0, 0x4051, 1);
    write(1, divide, 0xB);
    write(1, lvt_timer, 0x20042);
    write(1, initial_count, 1'000'000);
    ApicBus other_bus;
    Processor cpu;
    LocalApic copy(board.environment, other_bus, cpu, {.id = 1});
    expect_saves_and_restores(*apics[1], copy);
    EXPECT_TRUE(cpu.interrupt);
    EXPECT_EQ(copy.acknowledge(), 0x51);
    board.advance(1'000'000);
    EXPECT_EQ(copy.read(0, irr + 0x20, 4), 4U) << "the timer goes on";

    redirect(9, 0x8033, 3);
    ioapic.set_pin(9, true);
    IoApic copied_ioapic(other_bus, 0);
    expect_saves_and_restores(ioapic, copied_ioapic);
}

} // namespace
} // namespace strata::devices
