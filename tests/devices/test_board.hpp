// What a device needs around it in a test: time that is driven by hand, guest memory, a router, and records
// of what the device did to the outside.
#pragma once

#include "base/state_stream.hpp"
#include "devices/device.hpp"
#include "devices/router.hpp"

#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace strata::devices {

class RecordedMsi final : public MsiSink {
public:
    void send_msi(std::uint64_t address, std::uint32_t data) override { sent.emplace_back(address, data); }

    std::vector<std::pair<std::uint64_t, std::uint32_t>> sent;
};

class RecordedPower final : public PowerControl {
public:
    void power_off() override { ++power_offs; }

    void reset() override { ++resets; }

    void exit_with(int status) override { exits.push_back(status); }

    void panicked() override { ++panics; }

    int power_offs = 0, resets = 0, panics = 0;
    std::vector<int> exits;
};

// An interrupt line's level, and how often it rose.
struct RecordedLine {
    InterruptLine input() {
        return [this](bool asserted) {
            rises += asserted && !level ? 1 : 0;
            level = asserted;
        };
    }

    bool level = false;
    int rises = 0;
};

class TestBoard {
public:
    static constexpr std::uint64_t memory_size = 4 << 20;

    void out8(std::uint16_t port, std::uint8_t value) { router.write(Space::port, port, 1, value); }

    void out16(std::uint16_t port, std::uint16_t value) { router.write(Space::port, port, 2, value); }

    void out32(std::uint16_t port, std::uint32_t value) { router.write(Space::port, port, 4, value); }

    std::uint8_t in8(std::uint16_t port) {
        return static_cast<std::uint8_t>(router.read(Space::port, port, 1));
    }

    std::uint16_t in16(std::uint16_t port) {
        return static_cast<std::uint16_t>(router.read(Space::port, port, 2));
    }

    std::uint32_t in32(std::uint16_t port) {
        return static_cast<std::uint32_t>(router.read(Space::port, port, 4));
    }

    void write32(std::uint64_t address, std::uint32_t value) {
        router.write(Space::memory, address, 4, value);
    }

    std::uint32_t read32(std::uint64_t address) {
        return static_cast<std::uint32_t>(router.read(Space::memory, address, 4));
    }

    // Runs the timers that are due and what was posted.
    void run() {
        loop->stop();
        loop->run();
    }

    // Lets time pass, in steps, so that timers run about when they are due.
    void advance(Nanoseconds time, Nanoseconds step) {
        for (const Nanoseconds end = clock.now() + time; clock.now() < end;) {
            clock.advance(std::min(step, end - clock.now()));
            run();
        }
    }

    void advance(Nanoseconds time) { advance(time, time); }

    Clock clock{0};
    std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create(clock));
    std::unique_ptr<memory::GuestMemory> memory = std::move(*memory::GuestMemory::create(memory_size));
    Router router;
    RecordedMsi msi;
    RecordedPower power;
    Environment environment{clock, *loop, *memory, router, msi, power};
};

// What `device` saves, `copy` loads; then both save the same.
inline void expect_saves_and_restores(Device& device, Device& copy) {
    StateWriter saved;
    saved.section(device.name());
    device.visit(saved);
    ASSERT_TRUE(saved.result());

    StateReader reader(saved.bytes());
    reader.section(copy.name());
    copy.visit(reader);
    const auto loaded = reader.result();
    ASSERT_TRUE(loaded) << loaded.error().message;

    StateWriter again;
    again.section(copy.name());
    copy.visit(again);
    EXPECT_EQ(saved.bytes(), again.bytes());
}

} // namespace strata::devices
