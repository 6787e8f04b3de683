// A driver made of random bytes for a virtio device on PCI: it writes any register at any time and puts
// anything into its rings, which lie in guest memory where it can reach them.
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/state_stream.hpp"
#include "devices/pci/bus.hpp"
#include "devices/router.hpp"
#include "devices/virtio/pci_transport.hpp"
#include "input.hpp"
#include "memory/guest_memory.hpp"

#include <functional>
#include <memory>

namespace strata::fuzz {

struct Nobody final : devices::MsiSink, devices::PowerControl {
    void send_msi(std::uint64_t, std::uint32_t) override {}

    void power_off() override {}

    void reset() override {}

    void exit_with(int) override {}

    void panicked() override {}
};

// The machine is made once and reset for each input: what one leaves behind must not matter to the next.
class VirtioDriver {
public:
    static constexpr std::uint64_t ram_size = 1 << 16;
    static constexpr std::uint64_t registers = 0xD000'0000, msix = 0xD001'0000;
    static constexpr unsigned function_number = 8;

    using Event = std::function<void(std::span<const std::uint8_t> bytes)>;

    // `event` is what happens at the device's other side: a frame arrives, a key is typed.
    template <class Create>
    VirtioDriver(Create create, Event event)
        : function_(environment_, create(environment_)), event_(std::move(event)) {
        bus_.add(1, 0, function_);
    }

    void run(Input input) {
        std::memset(memory_->host(0, ram_size), 0, ram_size);
        function_.reset();
        bus_.write_config(function_number, 0x10, 4, registers);
        bus_.write_config(function_number, 0x14, 4, msix);
        bus_.write_config(function_number, 0x04, 2, 6);
        start(input);
        while (!input.empty()) {
            step(input);
        }
        settle();
    }

private:
    enum Offset : std::uint64_t { common = 0, notify = 0x3000 };

    void write(std::uint64_t offset, unsigned size, std::uint64_t value) {
        router_.write(devices::Space::memory, registers + offset, size, value);
    }

    // As a driver should, but for the features, so that most inputs get as far as the rings.
    void start(Input& input) {
        write(0x14, 1, 0);
        write(0x14, 1, 3);
        const auto declined = input.take<std::uint32_t>();
        for (const std::uint32_t word : {0U, 1U}) {
            write(0x00, 4, word);
            const auto offered = router_.read(devices::Space::memory, registers + 0x04, 4);
            write(0x08, 4, word);
            write(0x0C, 4, word == 0 ? offered & ~declined : offered);
        }
        write(0x14, 1, 11);
        const auto queues = function_.device().queues().size();
        for (std::size_t i = 0; i < queues; ++i) {
            // 16 descriptors at i * 1 KiB, then the rings.
            write(0x16, 2, i);
            write(0x18, 2, 16);
            write(0x20, 4, i * 1024);
            write(0x28, 4, i * 1024 + 256);
            write(0x30, 4, i * 1024 + 512);
            write(0x1C, 2, 1);
        }
        write(0x14, 1, 15);
    }

    void step(Input& input) {
        switch (input.take<std::uint8_t>() % 10) {
        case 0:
            write(input.take<std::uint16_t>() % 0x4000, 1U << input.take<std::uint8_t>() % 4,
                  input.take<std::uint32_t>());
            break;
        case 1:
            static_cast<void>(router_.read(devices::Space::memory,
                                           registers + input.take<std::uint16_t>() % 0x4000,
                                           1U << input.take<std::uint8_t>() % 4));
            break;
        case 2: write_memory(input); break;
        case 3:
        case 4: offer(input); break;
        case 5: write(notify + input.take<std::uint8_t>() % 16 * 4, 2, 0); break;
        case 6: event_(input.take_bytes(input.take<std::uint16_t>() % 4096)); break;
        case 7: access_config(input); break;
        case 8: save_and_load(); break;
        default: start(input); break;
        }
    }

    void write_memory(Input& input) {
        const auto address = input.take<std::uint16_t>();
        const auto bytes = input.take_bytes(input.take<std::uint8_t>());
        static_cast<void>(memory_->write(address, bytes.data(), bytes.size()));
    }

    // A chain that is nearly right: descriptors with addresses in memory, linked, made available, notified.
    void offer(Input& input) {
        const auto queue = input.take<std::uint8_t>() % 4U;
        const std::uint64_t base = queue * 1024;
        const auto head = input.take<std::uint8_t>() % 16U;
        const auto count = 1 + input.take<std::uint8_t>() % 4U;
        for (unsigned i = 0; i < count; ++i) {
            struct {
                std::uint64_t address;
                std::uint32_t length;
                std::uint16_t flags, next;
            } descriptor{};

            descriptor.address = input.take<std::uint16_t>();
            descriptor.length = input.take<std::uint8_t>();
            descriptor.flags = static_cast<std::uint16_t>((input.take<std::uint8_t>() & 6) | (i + 1 < count));
            descriptor.next = static_cast<std::uint16_t>((head + i + 1) % 16);
            static_cast<void>(memory_->write(base + (head + i) % 16 * 16, &descriptor, sizeof descriptor));
        }
        std::uint16_t index = 0;
        static_cast<void>(memory_->read(base + 256 + 2, &index, 2));
        const auto entry = static_cast<std::uint16_t>(head);
        static_cast<void>(memory_->write(base + 256 + 4 + index % 16 * 2U, &entry, 2));
        ++index;
        static_cast<void>(memory_->write(base + 256 + 2, &index, 2));
        write(notify + queue * 4, 2, queue);
    }

    void access_config(Input& input) {
        const unsigned size = 1U << input.take<std::uint8_t>() % 3;
        const unsigned offset = input.take<std::uint8_t>() / size * size;
        bus_.write_config(function_number, offset, size, input.take<std::uint32_t>());
        static_cast<void>(bus_.read_config(function_number, offset, size));
    }

    void save_and_load() {
        StateWriter writer;
        writer.section("device");
        function_.visit(writer);
        StateReader reader(writer.bytes());
        reader.section("device");
        function_.visit(reader);
    }

    // Whatever is under way comes to its end.
    void settle() {
        StateWriter writer;
        writer.section("device");
        function_.visit(writer);
        loop_->post([this] { loop_->stop(); });
        loop_->run();
    }

    Clock clock_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create(clock_).value();
    std::unique_ptr<memory::GuestMemory> memory_ = memory::GuestMemory::create(ram_size).value();
    devices::Router router_;
    Nobody nobody_;
    devices::Environment environment_{clock_, *loop_, *memory_, router_, nobody_, nobody_};
    devices::pci::Bus bus_{environment_};
    devices::virtio::PciTransport function_;
    Event event_;
};

} // namespace strata::fuzz
