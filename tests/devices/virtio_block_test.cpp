// The block device as a driver sees it, on a disk in memory.
#include <gtest/gtest.h>

#include "devices/virtio/block.hpp"
#include "virtio_driver.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

namespace strata::devices::virtio {
namespace {

constexpr std::uint64_t disk_size = 64 * 512;

// A disk that records what reaches it.
class MemoryDisk final : public backends::BlockBackend {
public:
    [[nodiscard]] std::uint64_t size() const override { return disk_size; }

    [[nodiscard]] bool read_only() const override { return is_read_only; }

    Result<void> read(std::uint64_t offset, std::span<std::byte> to) override {
        while (stalled) {
            std::this_thread::yield();
        }
        if (broken) {
            return fail("broken");
        }
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
        return {};
    }

    Result<void> write(std::uint64_t offset, std::span<const std::byte> from) override {
        if (broken) {
            return fail("broken");
        }
        std::ranges::copy(from, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
        return {};
    }

    Result<void> flush() override {
        ++flushes;
        return {};
    }

    Result<void> discard(std::uint64_t offset, std::uint64_t length) override {
        discards.emplace_back(offset, length);
        return {};
    }

    Result<void> write_zeroes(std::uint64_t offset, std::uint64_t length) override {
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
        return {};
    }

    std::vector<std::byte> bytes = std::vector<std::byte>(disk_size, std::byte{0x11});
    std::vector<std::pair<std::uint64_t, std::uint64_t>> discards;
    int flushes = 0;
    bool is_read_only = false;
    std::atomic<bool> broken = false, stalled = false;
};

constexpr std::uint32_t op_in = 0, op_out = 1, op_flush = 4, op_get_id = 8, op_discard = 11,
                        op_write_zeroes = 13;
constexpr std::uint8_t ok = 0, io_error = 1, unsupported = 2;
constexpr std::uint64_t feature_flush = bit(9);
constexpr auto usual_features = feature::version_1 | feature_flush;

class VirtioBlock : public testing::Test {
protected:
    void start(std::uint64_t features = usual_features, std::uint16_t queues = 1) {
        device = create_block(machine.environment, disk, {.serial = "serial-0001", .queues = queues});
        driver = std::make_unique<Driver>(machine, *device, features);
    }

    GuestPhysical header(std::uint32_t type, std::uint64_t sector) {
        struct {
            std::uint32_t type, reserved;
            std::uint64_t sector;
        } const bytes{type, 0, sector};

        return driver->arena.put_value(bytes);
    }

    // A request of one data buffer; returns its status byte.
    std::uint8_t request(std::uint32_t type, std::uint64_t sector, std::optional<Descriptor> data = {},
                         unsigned queue = 0) {
        status = driver->arena.put("\xEE");
        std::vector<Descriptor> buffers{readable(header(type, sector), 16)};
        if (data) {
            buffers.push_back(*data);
        }
        buffers.push_back(writable(status, 1));
        written = driver->request(queue, buffers);
        return driver->arena.load<std::uint8_t>(status);
    }

    struct Segment {
        std::uint64_t sector;
        std::uint32_t sectors, flags;
    };

    std::uint8_t segment_request(std::uint32_t type, const Segment& segment) {
        return request(type, 0, readable(driver->arena.put_value(segment), sizeof segment));
    }

    TestMachine machine;
    MemoryDisk disk;
    std::unique_ptr<VirtioDevice> device;
    std::unique_ptr<Driver> driver;
    GuestPhysical status = 0;
    std::uint32_t written = 0;
};

TEST_F(VirtioBlock, TellsItsSize) {
    start();
    EXPECT_EQ(device->read_config(0, 8), disk_size / 512);
    EXPECT_EQ(device->read_config(20, 4), 512U);
    EXPECT_EQ(device->read_config(1000, 4), 0U);
}

TEST_F(VirtioBlock, ReadsBackWhatWasWritten) {
    start();
    const std::string data(1024, 'w');
    EXPECT_EQ(request(op_out, 5, readable(driver->arena.put(data), data.size())), ok);
    EXPECT_EQ(written, 1U);
    const auto in = driver->arena.allocate(1024);
    EXPECT_EQ(request(op_in, 5, writable(in, 1024)), ok);
    EXPECT_EQ(written, 1025U);
    EXPECT_EQ(driver->arena.get(in, 1024), data);
    EXPECT_EQ(disk.bytes[4 * 512], std::byte{0x11});
    EXPECT_FALSE(driver->transport.interrupts.empty());
}

TEST_F(VirtioBlock, HeaderAndStatusMayBeCutAnywhere) {
    start();
    const auto head = header(op_in, 1);
    const auto in = driver->arena.allocate(513);
    driver->request(0,
                    {readable(head, 5), readable(head + 5, 11), writable(in, 100), writable(in + 100, 413)});
    EXPECT_EQ(driver->arena.get(in, 513), std::string(512, '\x11') + '\0');
}

TEST_F(VirtioBlock, FlushReachesTheBackend) {
    start();
    EXPECT_EQ(request(op_flush, 0), ok);
    EXPECT_EQ(disk.flushes, 1);
}

TEST_F(VirtioBlock, WritesThroughForADriverThatCannotFlush) {
    start(feature::version_1);
    EXPECT_EQ(request(op_out, 0, readable(driver->arena.allocate(512), 512)), ok);
    EXPECT_EQ(disk.flushes, 1);
}

TEST_F(VirtioBlock, TellsItsSerial) {
    start();
    const auto in = driver->arena.allocate(20);
    EXPECT_EQ(request(op_get_id, 0, writable(in, 20)), ok);
    EXPECT_EQ(driver->arena.get(in, 20), "serial-0001" + std::string(9, '\0'));
}

TEST_F(VirtioBlock, DiscardsAndZeroes) {
    start();
    EXPECT_EQ(segment_request(op_discard, {3, 4, 0}), ok);
    EXPECT_EQ(disk.discards, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{3 * 512, 4 * 512}}));
    EXPECT_EQ(segment_request(op_write_zeroes, {1, 1, 1}), ok);
    EXPECT_EQ(disk.bytes[512], std::byte{0});
    EXPECT_EQ(disk.bytes[1024], std::byte{0x11});
    EXPECT_EQ(segment_request(op_discard, {3, 4, 1}), unsupported) << "unmap is no flag of discard";
    EXPECT_EQ(segment_request(op_discard, {63, 2, 0}), io_error);
    EXPECT_EQ(segment_request(op_write_zeroes, {~0ULL, 2, 0}), io_error);
    EXPECT_EQ(segment_request(op_write_zeroes, {0, ~0U, 0}), io_error);
}

TEST_F(VirtioBlock, RefusesWhatIsOutsideTheDisk) {
    start();
    const auto data = driver->arena.allocate(1024);
    EXPECT_EQ(request(op_in, 64, writable(data, 512)), io_error);
    EXPECT_EQ(request(op_in, 63, writable(data, 1024)), io_error);
    EXPECT_EQ(request(op_out, ~0ULL, readable(data, 512)), io_error);
    EXPECT_EQ(request(op_in, ~0ULL / 512, writable(data, 512)), io_error);
    EXPECT_EQ(request(op_out, 0, readable(data, 511)), io_error) << "no whole sector";
    EXPECT_EQ(request(77, 0), unsupported);
}

TEST_F(VirtioBlock, RefusesWritesToAReadOnlyDisk) {
    disk.is_read_only = true;
    start();
    EXPECT_NE(device->offered_features() & bit(5), 0U);
    EXPECT_EQ(request(op_out, 0, readable(driver->arena.allocate(512), 512)), io_error);
    EXPECT_EQ(segment_request(op_discard, {0, 1, 0}), io_error);
    EXPECT_EQ(disk.bytes[0], std::byte{0x11});
}

TEST_F(VirtioBlock, ReportsTheHostsErrors) {
    start();
    disk.broken = true;
    EXPECT_EQ(request(op_in, 0, writable(driver->arena.allocate(512), 512)), io_error);
    EXPECT_EQ(request(op_out, 0, readable(driver->arena.allocate(512), 512)), io_error);
    EXPECT_FALSE(device->needs_reset());
}

TEST_F(VirtioBlock, ServesEveryQueue) {
    start(usual_features | bit(12), 3);
    EXPECT_EQ(device->read_config(34, 2), 3U);
    for (unsigned queue = 0; queue < 3; ++queue) {
        EXPECT_EQ(request(op_in, 0, writable(driver->arena.allocate(512), 512), queue), ok);
    }
}

TEST_F(VirtioBlock, NeedsAResetWhenThereIsNoRoomForAStatus) {
    start();
    driver->queue(0).submit({readable(header(op_flush, 0), 16)});
    device->notify(0);
    EXPECT_TRUE(device->needs_reset());
    EXPECT_EQ(driver->transport.config_interrupts, 1);
    device->reset();
    EXPECT_FALSE(device->needs_reset());
}

TEST_F(VirtioBlock, AfterAResetNothingOfTheOldRequestsHappens) {
    start();
    disk.stalled = true;
    const auto in = driver->arena.allocate(512);
    driver->queue(0).submit(
        {readable(header(op_in, 0), 16), writable(in, 512), writable(driver->arena.allocate(1), 1)});
    device->notify(0);
    std::thread release([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        disk.stalled = false;
    });
    device->reset(); // waits for what is under way
    release.join();
    EXPECT_FALSE(disk.stalled);
    EXPECT_TRUE(machine.run_until([&] { return true; }));
    EXPECT_TRUE(driver->queue(0).take_used().empty());
    EXPECT_TRUE(driver->transport.interrupts.empty());
}

TEST_F(VirtioBlock, MayBeDestroyedWithRequestsUnderWay) {
    start();
    for (int i = 0; i < 20; ++i) {
        driver->queue(0).submit({readable(header(op_in, 0), 16), writable(driver->arena.allocate(512), 512),
                                 writable(driver->arena.allocate(1), 1)});
    }
    device->notify(0);
    device.reset();
    int ticks = 0;
    EXPECT_TRUE(machine.run_until([&] { return ++ticks > 3; }));
}

} // namespace
} // namespace strata::devices::virtio
