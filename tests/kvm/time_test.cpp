// The guest's time-stamp counter: it stands still while the machine does, and never goes back.
#include "small_machine.hpp"

#include "base/scale.hpp"

#include <chrono>
#include <thread>

namespace strata::cpu {
namespace {

class KvmTime : public testing::Test {
protected:
    KvmTime() {
        machine.load({
            0x0F, 0x31,                   // rdtsc
            0x66, 0xA3, 0x00, 0x50,       // mov [0x5000], eax
            0x66, 0x89, 0x16, 0x04, 0x50, // mov [0x5004], edx
            0xE6, 0x80,                   // out 0x80, al
            0xEB, 0xF1,                   // jmp to the beginning
        });
        machine.use_engine("kvm");
    }

    // What the guest reads now.
    [[nodiscard]] std::uint64_t guest_tsc() const {
        machine.run();
        std::uint64_t tsc = 0;
        EXPECT_TRUE(machine.memory->read(0x5000, &tsc, sizeof tsc));
        return tsc;
    }

    // The machine stands still for longer than the bounds below.
    void pause() {
        machine.clock.pause();
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        machine.clock.resume();
        clock_resumed(*machine.engine);
    }

    [[nodiscard]] std::uint64_t ticks(Nanoseconds time) const {
        return mul_div(static_cast<std::uint64_t>(time), machine.tsc_hz, 1'000'000'000);
    }

    // Reads the counter, does `between`, and reads it again: it has gone on by no more than the machine's
    // clock, which has seen both.
    template <class Between>
    void expect_no_gap(Between between) {
        constexpr Nanoseconds drift = 2 * nanoseconds_per_millisecond; // of the host's clock and counter
        const Nanoseconds begin = machine.clock.now();
        const std::uint64_t before = guest_tsc();
        between();
        const std::uint64_t after = guest_tsc();
        EXPECT_GT(after, before);
        EXPECT_LT(after - before, ticks(machine.clock.now() - begin + drift));
    }

    SmallMachine machine;
};

TEST_F(KvmTime, HasNoGapOverAPause) {
    for (int round = 0; round < 5; ++round) {
        expect_no_gap([this] { pause(); });
    }
}

TEST_F(KvmTime, HasNoGapOverChangesOfEngine) {
    for (const auto* engine : {"interpreter", "kvm", "translator", "kvm"}) {
        expect_no_gap([&] {
            machine.clock.pause();
            machine.use_engine(engine);
            machine.clock.resume();
            clock_resumed(*machine.engine);
        });
        expect_no_gap([this] { pause(); });
    }
}

} // namespace
} // namespace strata::cpu
