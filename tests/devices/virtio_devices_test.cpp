// The entropy, console and network devices as their drivers see them.
#include <gtest/gtest.h>

#include "devices/virtio/console.hpp"
#include "devices/virtio/frame.hpp"
#include "devices/virtio/net.hpp"
#include "devices/virtio/rng.hpp"
#include "virtio_driver.hpp"

#include <algorithm>

namespace strata::devices::virtio {
namespace {

TEST(VirtioRng, FillsBuffersWithRandomBytes) {
    TestMachine machine;
    const auto device = create_rng(machine.environment);
    Driver driver(machine, *device);
    const auto buffer = driver.arena.allocate(64);
    EXPECT_EQ(driver.request(0, {writable(buffer, 64)}), 64U);
    const auto first = driver.arena.get(buffer, 64);
    EXPECT_EQ(driver.request(0, {writable(buffer, 64)}), 64U);
    EXPECT_NE(first, driver.arena.get(buffer, 64));
    EXPECT_EQ(driver.transport.interrupts, (std::vector<unsigned>{0, 0}));
}

TEST(VirtioRng, MayGiveTheSameBytesInEachRun) {
    std::vector<std::string> runs;
    for (int i = 0; i < 2; ++i) {
        TestMachine machine;
        const auto device = create_repeating_rng(machine.environment);
        Driver driver(machine, *device);
        const auto buffer = driver.arena.allocate(64);
        EXPECT_EQ(driver.request(0, {writable(buffer, 64)}), 64U);
        runs.push_back(driver.arena.get(buffer, 64));
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_NE(runs[0], std::string(64, 0));
}

TEST(VirtioRng, GivesLessThanAskedForRatherThanToWorkForLong) {
    TestMachine machine;
    const auto device = create_rng(machine.environment);
    Driver driver(machine, *device);
    const auto given = driver.request(0, {writable(0x100000, 8 << 20)});
    EXPECT_GT(given, 0U);
    EXPECT_LE(given, 65536U);
}

TEST(VirtioRng, ADriverThatNeverStopsDoesNotHoldTheDevice) {
    TestMachine machine;
    const auto device = create_rng(machine.environment);
    Driver driver(machine, *device);
    auto& queue = driver.queue(0);
    const auto buffer = driver.arena.allocate(1);
    for (int i = 0; i < queue.size(); ++i) {
        queue.submit({writable(buffer, 1)});
    }
    device->notify(0);
    EXPECT_EQ(queue.take_used().size(), queue.size());
    queue.submit({writable(buffer, 1)}); // no notification: the device has promised to look again
    EXPECT_TRUE(machine.run_until([&] { return queue.take_used().size() == 1; }));
}

TEST(VirtioRng, ABrokenQueueNeedsAReset) {
    TestMachine machine;
    const auto device = create_rng(machine.environment);
    Driver driver(machine, *device);
    driver.queue(0).submit({writable(~0ULL, 64)});
    device->notify(0);
    EXPECT_TRUE(device->needs_reset());
    EXPECT_EQ(driver.transport.config_interrupts, 1);
    device->notify(0);
    EXPECT_TRUE(driver.queue(0).take_used().empty());
    device->reset();
    Driver again(machine, *device);
    EXPECT_EQ(again.request(0, {writable(again.arena.allocate(8), 8)}), 8U);
}

TEST(VirtioDevice, NeedsVersion1AndOnlyWhatIsOffered) {
    TestMachine machine;
    const auto device = create_rng(machine.environment);
    EXPECT_FALSE(device->accept_features(0));
    EXPECT_FALSE(device->accept_features(feature::version_1 | bit(0)));
    EXPECT_TRUE(device->accept_features(feature::version_1));
}

class TestChar final : public backends::CharBackend {
public:
    void write(std::span<const std::byte> bytes) override {
        for (const auto byte : bytes) {
            output.push_back(static_cast<char>(byte));
        }
    }

    void resume() override { ++resumed; }

    std::size_t type(std::string_view text) { return deliver(std::as_bytes(std::span(text))); }

    std::string output;
    int resumed = 0;
};

TEST(VirtioConsole, PrintsAndReads) {
    TestMachine machine;
    TestChar terminal;
    const auto device = create_console(machine.environment, terminal);
    EXPECT_EQ(terminal.type("too early"), 0U);
    Driver driver(machine, *device);
    EXPECT_GE(terminal.resumed, 1);
    driver.request(1, {readable(driver.arena.put("hello "), 6), readable(driver.arena.put("world"), 5)});
    EXPECT_EQ(terminal.output, "hello world");

    EXPECT_EQ(terminal.type("typed"), 0U) << "the guest has given no buffer";
    const auto buffer = driver.arena.allocate(8);
    driver.queue(0).submit({writable(buffer, 8)});
    device->notify(0);
    EXPECT_EQ(terminal.type("much is typed"), 8U);
    EXPECT_EQ(driver.arena.get(buffer, 8), "much is ");
    const auto used = driver.queue(0).take_used();
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0].written, 8U);
}

TEST(VirtioConsole, EmergencyWriteNeedsNoDriver) {
    TestMachine machine;
    TestChar terminal;
    const auto device = create_console(machine.environment, terminal);
    device->write_config(8, 4, '!');
    EXPECT_EQ(terminal.output, "!");
}

class TestNet final : public backends::NetBackend {
public:
    void send(std::span<const std::byte> frame) override {
        sent.emplace_back(reinterpret_cast<const char*>(frame.data()), frame.size());
    }

    void resume() override { ++resumed; }

    bool arrive(std::string_view frame) { return deliver(std::as_bytes(std::span(frame))); }

    std::vector<std::string> sent;
    int resumed = 0;
};

constexpr std::uint64_t feature_checksum = bit(0), feature_mergeable = bit(15), feature_control = bit(17),
                        feature_multiqueue = bit(22);
const std::string no_header(12, '\0');

class VirtioNet : public testing::Test {
protected:
    void start(std::uint64_t features = 0, std::uint16_t pairs = 1) {
        device = create_net(machine.environment, net, {.queue_pairs = pairs});
        driver = std::make_unique<Driver>(machine, *device, feature::version_1 | features);
    }

    void send(const std::string& bytes, unsigned queue = 1) {
        driver->request(queue, {readable(driver->arena.put(bytes), bytes.size())});
    }

    GuestPhysical offer(unsigned queue, std::size_t size) {
        const auto buffer = driver->arena.allocate(size);
        driver->queue(queue).submit({writable(buffer, size)});
        device->notify(queue);
        return buffer;
    }

    TestMachine machine;
    TestNet net;
    std::unique_ptr<VirtioDevice> device;
    std::unique_ptr<Driver> driver;
};

TEST_F(VirtioNet, SendsFramesWithoutTheHeader) {
    start();
    send(no_header + "a frame");
    EXPECT_EQ(net.sent, std::vector<std::string>{"a frame"});
}

TEST_F(VirtioNet, DropsWhatItCannotSend) {
    start();
    send("short");
    send(std::string(1, '\0') + '\1' + std::string(10, '\0') + "to be segmented");
    send(no_header + std::string(70000, 'x'));
    EXPECT_TRUE(net.sent.empty());
    EXPECT_FALSE(device->needs_reset());
}

TEST_F(VirtioNet, CompletesChecksums) {
    start(feature_checksum);
    std::string header = no_header;
    header[0] = 1; // needs a checksum
    header[6] = 4; // of what follows offset 4
    header[8] = 2; // at offset 2 of that
    send(header + std::string("\0\0\0\0\x01\x02\0\0\x03", 9));
    ASSERT_EQ(net.sent.size(), 1U);
    // ~(0x0102 + 0x0300)
    EXPECT_EQ(net.sent[0], std::string("\0\0\0\0\x01\x02\xFB\xFD\x03", 9));
    header[8] = 100;
    send(header + std::string(9, '\0'));
    EXPECT_EQ(net.sent.size(), 1U) << "the checksum is outside the frame";
}

TEST_F(VirtioNet, ReceivesIntoOneBuffer) {
    start();
    EXPECT_FALSE(net.arrive("no buffer")) << "the backend keeps it";
    const auto buffer = offer(0, 1600);
    EXPECT_GE(net.resumed, 1);
    EXPECT_TRUE(net.arrive("incoming"));
    auto expected = no_header + "incoming";
    expected[10] = 1; // one buffer
    EXPECT_EQ(driver->arena.get(buffer, expected.size()), expected);
    const auto used = driver->queue(0).take_used();
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0].written, expected.size());
}

TEST_F(VirtioNet, MergesBuffersForALongFrame) {
    start(feature_mergeable);
    const std::string frame(1000, 'f');
    const auto first = offer(0, 512);
    EXPECT_FALSE(net.arrive(frame)) << "half a frame is none";
    EXPECT_TRUE(driver->queue(0).take_used().empty());
    const auto second = offer(0, 512);
    EXPECT_TRUE(net.arrive(frame));
    EXPECT_EQ(driver->arena.load<std::uint16_t>(first + 10), 2U);
    EXPECT_EQ(driver->arena.get(first + 12, 500), frame.substr(0, 500));
    EXPECT_EQ(driver->arena.get(second, 500), frame.substr(500));
    const auto used = driver->queue(0).take_used();
    ASSERT_EQ(used.size(), 2U);
    EXPECT_EQ(used[0].written, 512U);
    EXPECT_EQ(used[1].written, 500U);
    EXPECT_EQ(driver->transport.interrupts, std::vector<unsigned>{0});
}

TEST_F(VirtioNet, BuffersTooSmallNeedAReset) {
    start();
    offer(0, 64);
    EXPECT_TRUE(net.arrive(std::string(1000, 'f')));
    EXPECT_TRUE(device->needs_reset());
}

TEST_F(VirtioNet, TheControlQueueSetsThePairs) {
    start(feature_control | feature_multiqueue, 2);
    EXPECT_EQ(device->read_config(8, 2), 2U);
    const auto command = [&](std::string_view bytes) {
        const auto ack = driver->arena.put("\xEE");
        driver->request(4, {readable(driver->arena.put(bytes), bytes.size()), writable(ack, 1)});
        return driver->arena.load<std::uint8_t>(ack);
    };
    EXPECT_EQ(command({"\x04\0\x02\0", 4}), 0);
    EXPECT_EQ(command({"\x04\0\x03\0", 4}), 1) << "more than there are";
    EXPECT_EQ(command({"\x04\0\0\0", 4}), 1);
    EXPECT_EQ(command({"\x04\0", 2}), 1);
    EXPECT_EQ(command({"\x09\0\x01\0", 4}), 1);
    EXPECT_EQ(command(""), 1);
}

// An IPv4 TCP frame from port 1 to port 2, or back.
std::string tcp_frame(bool back) {
    std::string frame(54, '\0');
    frame[12] = 8;
    frame[14] = 0x45;
    frame[23] = 6;
    frame[back ? 33 : 29] = 99; // an address of one end
    frame[back ? 37 : 35] = 1;
    frame[back ? 35 : 37] = 2;
    return frame;
}

TEST_F(VirtioNet, AFlowIsReceivedWhereItWasSent) {
    start(feature_control | feature_multiqueue, 2);
    driver->request(
        4, {readable(driver->arena.put({"\x04\0\x02\0", 4}), 4), writable(driver->arena.allocate(1), 1)});
    offer(0, 1600);
    offer(2, 1600);
    send(no_header + tcp_frame(false), 3);
    EXPECT_TRUE(net.arrive(tcp_frame(true)));
    EXPECT_TRUE(driver->queue(0).take_used().empty());
    EXPECT_EQ(driver->queue(2).take_used().size(), 1U);
}

TEST(VirtioFrame, AFlowHasNoDirection) {
    const auto there = tcp_frame(false), back = tcp_frame(true);
    EXPECT_NE(flow_of(std::as_bytes(std::span(there))), 0U);
    EXPECT_EQ(flow_of(std::as_bytes(std::span(there))), flow_of(std::as_bytes(std::span(back))));
    EXPECT_EQ(flow_of({}), 0U);
}

} // namespace
} // namespace strata::devices::virtio
