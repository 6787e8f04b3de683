// A virtio device on PCI, driven by its registers as a driver's code would.
#include <gtest/gtest.h>

#include "base/state_stream.hpp"
#include "devices/pci/bus.hpp"
#include "devices/virtio/pci_transport.hpp"
#include "devices/virtio/rng.hpp"
#include "virtio_driver.hpp"

#include <map>

namespace strata::devices::virtio {
namespace {

constexpr std::uint64_t bar_base = 0xD000'0000, msix_base = 0xD001'0000;
constexpr std::uint32_t all = 0xFFFF'FFFF;

class VirtioPci : public testing::Test {
protected:
    VirtioPci() {
        bus.add(1, 0, function);
        function.connect_intx([this](bool level) { intx = level; });
        config_write(0x10, bar_base, 4);
        config_write(0x14, msix_base, 4);
        config_write(0x04, 6, 2); // memory and bus master
        find_capabilities();
    }

    std::uint32_t config(unsigned offset, unsigned size) { return bus.read_config(8, offset, size); }

    void config_write(unsigned offset, std::uint64_t value, unsigned size) {
        bus.write_config(8, offset, size, static_cast<std::uint32_t>(value));
    }

    void find_capabilities() {
        for (auto at = config(0x34, 1); at != 0; at = config(at + 1, 1)) {
            if (config(at, 1) == 9) {
                capabilities[config(at + 3, 1)] = at;
            }
            if (config(at, 1) == 0x11) {
                msix = at;
            }
        }
    }

    [[nodiscard]] std::uint64_t part(unsigned type) {
        return bar_base + config(capabilities.at(type) + 8, 4);
    }

    std::uint64_t read(std::uint64_t offset, unsigned size) {
        return machine.router.read(Space::memory, part(1) + offset, size);
    }

    void write(std::uint64_t offset, std::uint64_t value, unsigned size) {
        machine.router.write(Space::memory, part(1) + offset, size, value);
    }

    void negotiate(std::uint64_t features) {
        write(0x14, 0, 1);
        write(0x14, 3, 1);
        for (const unsigned word : {0U, 1U}) {
            write(0x08, word, 4);
            write(0x0C, (features >> (32 * word)) & all, 4);
        }
        write(0x14, 3 | 8, 1);
    }

    void set_up_queue(std::uint16_t vector = 0xFFFF) {
        const auto rings = queue.rings();
        write(0x16, 0, 2);
        write(0x18, queue.size(), 2);
        write(0x1A, vector, 2);
        write(0x20, rings.descriptors, 4);
        write(0x24, 0, 4);
        write(0x28, rings.available, 4);
        write(0x2C, 0, 4);
        write(0x30, rings.used, 4);
        write(0x34, 0, 4);
        write(0x1C, 1, 2);
    }

    void start(std::uint16_t vector = 0xFFFF) {
        negotiate(feature::version_1);
        set_up_queue(vector);
        write(0x14, 3 | 8 | 4, 1);
    }

    void kick() { machine.router.write(Space::memory, part(2), 2, 0); }

    TestMachine machine;
    pci::Bus bus{machine.environment};
    PciTransport function{machine.environment, create_rng(machine.environment)};
    Arena arena{*machine.memory};
    DriverQueue queue{arena, 16};
    std::map<unsigned, unsigned> capabilities;
    unsigned msix = 0;
    bool intx = false;
};

TEST_F(VirtioPci, IsAModernEntropyDevice) {
    EXPECT_EQ(config(0, 4), 0x1044'1AF4U);
    EXPECT_GE(config(8, 1), 1U) << "revision: not transitional";
    EXPECT_EQ(capabilities.size(), 5U);
    EXPECT_NE(msix, 0U);
}

TEST_F(VirtioPci, WorksFromResetToInterrupt) {
    start();
    EXPECT_EQ(read(0x14, 1), 15U);
    const auto buffer = arena.allocate(16);
    queue.submit({writable(buffer, 16)});
    kick();
    EXPECT_EQ(queue.take_used().size(), 1U);
    EXPECT_TRUE(intx);
    const auto isr = part(3);
    EXPECT_EQ(machine.router.read(Space::memory, isr, 1), 1U);
    EXPECT_FALSE(intx);
    EXPECT_EQ(machine.router.read(Space::memory, isr, 1), 0U);
}

TEST_F(VirtioPci, InterruptsByMsix) {
    machine.router.write(Space::memory, msix_base + 16, 4, 0xFEE0'0000);
    machine.router.write(Space::memory, msix_base + 24, 4, 0x41);
    machine.router.write(Space::memory, msix_base + 28, 4, 0);
    config_write(msix + 2, 0x8000, 2);
    start(1);
    EXPECT_EQ(read(0x1A, 2), 1U);
    queue.submit({writable(arena.allocate(16), 16)});
    kick();
    EXPECT_FALSE(intx);
    ASSERT_EQ(machine.msi.sent.size(), 1U);
    EXPECT_EQ(machine.msi.sent[0], std::pair(std::uint64_t{0xFEE0'0000}, std::uint32_t{0x41}));
}

TEST_F(VirtioPci, DeclinesFeaturesItDoesNotHave) {
    negotiate(feature::version_1 | 1);
    EXPECT_EQ(read(0x14, 1) & 8, 0U);
    negotiate(0);
    EXPECT_EQ(read(0x14, 1) & 8, 0U) << "without VERSION_1 it would be a legacy device";
    negotiate(feature::version_1);
    EXPECT_EQ(read(0x14, 1) & 8, 8U);
}

TEST_F(VirtioPci, ShowsNoMoreQueuesAndVectorsThanThereAre) {
    EXPECT_EQ(read(0x12, 2), 1U);
    write(0x16, 1, 2);
    EXPECT_EQ(read(0x18, 2), 0U);
    write(0x10, 7, 2);
    EXPECT_EQ(read(0x10, 2), 0xFFFFU);
    write(0x10, 1, 2);
    EXPECT_EQ(read(0x10, 2), 1U);
}

TEST_F(VirtioPci, RegistersAnswerToTheirOwnWidthOnly) {
    write(0x16, 0, 2);
    EXPECT_NE(read(0x18, 2), 0U);
    EXPECT_EQ(read(0x18, 1), 0U);
    EXPECT_EQ(read(0x19, 1), 0U);
    EXPECT_EQ(read(0xFFC, 4), 0U);
}

TEST_F(VirtioPci, ABadRingAsksForAReset) {
    negotiate(feature::version_1);
    write(0x20, 0xFFFF'FFF0, 4);
    write(0x1C, 1, 2);
    write(0x14, 15, 1);
    EXPECT_EQ(read(0x14, 1), 15U | 64);
    kick();
    start();
    EXPECT_EQ(read(0x14, 1), 15U);
    queue.submit({writable(arena.allocate(16), 16)});
    kick();
    EXPECT_EQ(queue.take_used().size(), 1U);
}

TEST_F(VirtioPci, DoesNotTouchMemoryUnlessBusMaster) {
    start();
    config_write(0x04, 2, 2);
    queue.submit({writable(arena.allocate(16), 16)});
    kick();
    EXPECT_TRUE(queue.take_used().empty());
}

TEST_F(VirtioPci, AWindowInConfigurationSpaceReachesTheRegisters) {
    const auto window = capabilities.at(5);
    const auto access = [&](std::uint32_t offset, std::uint32_t size) {
        config_write(window + 4, 0, 1);
        config_write(window + 8, offset, 4);
        config_write(window + 12, size, 4);
    };
    access(0x12, 2);
    EXPECT_EQ(config(window + 16, 2), 1U);
    access(0x14, 1);
    config_write(window + 16, 1, 1);
    EXPECT_EQ(read(0x14, 1), 1U);
    for (const std::uint32_t offset : {0x4000U, 0xFFFF'FFFEU, 0x13U}) {
        access(offset, 2);
        config_write(window + 16, 0xABCD, 2);
        EXPECT_EQ(config(window + 16, 2), 0xABCDU) << "nothing is there";
    }
}

TEST_F(VirtioPci, GoesOnWhereItWasSaved) {
    start();
    queue.submit({writable(arena.allocate(16), 16)});
    kick();
    ASSERT_EQ(queue.take_used().size(), 1U);
    StateWriter writer;
    writer.section("rng");
    function.visit(writer);
    queue.submit({writable(arena.allocate(16), 16)}); // made available, and then the machine was moved

    function.reset();
    StateReader reader(writer.bytes());
    reader.section("rng");
    function.visit(reader);
    ASSERT_TRUE(reader.result()) << reader.result().error().message;
    EXPECT_EQ(read(0x14, 1), 15U);
    EXPECT_TRUE(intx) << "the interrupt was not acknowledged";
    EXPECT_TRUE(machine.run_until([&] { return queue.take_used().size() == 1; }));
}

TEST_F(VirtioPci, RefusesAStateOfAnotherDevice) {
    StateWriter writer;
    writer.section("rng");
    start();
    function.visit(writer);
    auto bytes = writer.bytes();
    // The device's field "features": its name is followed by four bytes of length and eight of value.
    const std::string_view name = "\x08"
                                  "features";
    const auto text = std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto at = text.find(name);
    ASSERT_NE(at, text.npos);
    bytes[at + name.size() + 4] = std::byte{0xFF};
    StateReader reader(bytes);
    reader.section("rng");
    function.visit(reader);
    EXPECT_FALSE(reader.result());
    kick();
    EXPECT_EQ(queue.take_used().size(), 0U);
}

TEST_F(VirtioPci, AResetByTheBusForgetsEverything) {
    start();
    function.reset();
    EXPECT_EQ(config(4, 2), 0U);
    config_write(0x10, bar_base, 4);
    config_write(0x04, 6, 2);
    EXPECT_EQ(read(0x14, 1), 0U);
    write(0x16, 0, 2);
    EXPECT_EQ(read(0x1C, 2), 0U);
    EXPECT_EQ(read(0x20, 4), 0U);
}

} // namespace
} // namespace strata::devices::virtio
