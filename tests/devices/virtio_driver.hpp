// The guest's side of virtio for tests: a machine without a processor, and a driver that lays out rings in
// its memory, rightly or wrongly.
#pragma once

#include "../base/loop_runner.hpp"
#include "devices/device.hpp"
#include "devices/router.hpp"
#include "devices/virtio/device.hpp"
#include "memory/guest_memory.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::devices::virtio {

using memory::GuestPhysical;

struct TestMsi final : MsiSink {
    void send_msi(std::uint64_t address, std::uint32_t data) override { sent.emplace_back(address, data); }

    std::vector<std::pair<std::uint64_t, std::uint32_t>> sent;
};

struct TestPower final : PowerControl {
    void power_off() override {}

    void reset() override {}

    void exit_with(int) override {}

    void panicked() override {}
};

struct TestMachine : test::LoopRunner {
    static constexpr std::uint64_t ram_size = 16 << 20;

    std::unique_ptr<memory::GuestMemory> memory = memory::GuestMemory::create(ram_size).value();
    Router router;
    TestMsi msi;
    TestPower power;
    Environment environment{clock, *loop, *memory, router, msi, power};
};

struct TestTransport final : Transport {
    void queue_interrupt(unsigned queue) override { interrupts.push_back(queue); }

    void config_interrupt() override { ++config_interrupts; }

    [[nodiscard]] bool may_access_memory() const override { return true; }

    std::vector<unsigned> interrupts;
    int config_interrupts = 0;
};

// VIRTIO 1.2, section 2.7.5.
struct Descriptor {
    static constexpr std::uint16_t next_flag = 1, write_flag = 2, indirect_flag = 4;
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    std::uint16_t flags = 0;
    std::uint16_t next = 0;
};

// Guest memory that a test hands out once.
class Arena {
public:
    explicit Arena(memory::GuestMemory& memory) : memory_(memory) {}

    GuestPhysical allocate(std::uint64_t size);
    GuestPhysical put(std::string_view bytes);
    [[nodiscard]] std::string get(GuestPhysical address, std::size_t size) const;

    template <class T>
    GuestPhysical put_value(const T& value) {
        return put({reinterpret_cast<const char*>(&value), sizeof value});
    }

    template <class T>
    void store(GuestPhysical address, const T& value) {
        EXPECT_TRUE(memory_.write(address, &value, sizeof value));
    }

    template <class T>
    [[nodiscard]] T load(GuestPhysical address) const {
        T value{};
        EXPECT_TRUE(memory_.read(address, &value, sizeof value));
        return value;
    }

private:
    memory::GuestMemory& memory_;
    GuestPhysical next_ = 0x10000;
};

struct Used {
    std::uint32_t head;
    std::uint32_t written;
};

class DriverQueue {
public:
    DriverQueue(Arena& arena, std::uint16_t size);

    [[nodiscard]] Queue::Rings rings() const { return rings_; }

    [[nodiscard]] std::uint16_t size() const { return size_; }

    void set(std::uint16_t index, const Descriptor& descriptor);
    // Links the buffers to a chain, from the next free descriptor on; returns its head, not yet available.
    std::uint16_t chain(std::vector<Descriptor> buffers);
    // The same through an indirect table.
    std::uint16_t indirect(std::vector<Descriptor> buffers);
    void offer(std::uint16_t head);
    void set_available_index(std::uint16_t index);

    std::uint16_t submit(std::vector<Descriptor> buffers) {
        const auto head = chain(std::move(buffers));
        offer(head);
        return head;
    }

    // What the device has given back since the last call.
    std::vector<Used> take_used();

    void suppress_interrupts(bool suppress);
    void set_used_event(std::uint16_t index);
    [[nodiscard]] std::uint16_t available_event() const;

private:
    Arena& arena_;
    std::uint16_t size_;
    Queue::Rings rings_;
    std::uint16_t next_descriptor_ = 0, available_ = 0, used_ = 0;
};

// A device with its driver's queues, negotiated and running, without a bus.
class Driver {
public:
    Driver(TestMachine& machine, VirtioDevice& device,
           std::uint64_t features = feature::version_1 | feature::indirect_descriptors);

    [[nodiscard]] DriverQueue& queue(unsigned index) { return queues_[index]; }

    // Submits, notifies, and waits for the answer: how many bytes the device wrote.
    std::uint32_t request(unsigned index, std::vector<Descriptor> buffers);

    Arena arena;
    TestTransport transport;

private:
    TestMachine& machine_;
    VirtioDevice& device_;
    std::vector<DriverQueue> queues_;
};

inline Descriptor readable(GuestPhysical address, std::size_t length) {
    return {address, static_cast<std::uint32_t>(length), 0, 0};
}

inline Descriptor writable(GuestPhysical address, std::size_t length) {
    return {address, static_cast<std::uint32_t>(length), Descriptor::write_flag, 0};
}

} // namespace strata::devices::virtio
