#include "devices/i8254.hpp"

#include "base/bits.hpp"
#include "base/scale.hpp"

#include <algorithm>
#include <limits>

namespace strata::devices {
namespace {

enum RegionIndex : unsigned { timer_ports, system_port };

constexpr std::uint64_t input_hz = 1'193'182;
constexpr std::uint64_t second = 1'000'000'000;
constexpr unsigned control_port = 3;

// A guest that asks for more frequent interrupts gets these, so that it can't keep the event loop busy for
// others.
constexpr Nanoseconds shortest_wait = 50'000;
constexpr Nanoseconds longest_wait = 3'600'000'000'000;

// Port 0x61.
constexpr std::uint8_t gate2 = 1 << 0, writable = 0x0F, refresh = 1 << 4, output2 = 1 << 5;
constexpr Nanoseconds refresh_period = 15'085; // DRAM refresh: counter 1 at a count of 18

} // namespace

I8254::I8254(const Environment& environment, InterruptLine interrupt)
    : env_(environment), interrupt_(std::move(interrupt)), timer_(environment.loop, [this] {
          follow_output();
          arm();
      }) {
    counters_[2].reset(false);
}

std::vector<Region> I8254::regions() const {
    return {{"pit", Space::port, 0x40, 4, 1, 1}, {"system-port", Space::port, 0x61, 1, 1, 1}};
}

std::uint64_t I8254::ticks() const {
    return mul_div(static_cast<std::uint64_t>(env_.clock.now()), input_hz, second);
}

// Shows the interrupt line what counter 0 did since the last call: at least one edge if there was any.
void I8254::follow_output() {
    const std::uint64_t now = ticks();
    const auto change = counters_[0].next_change(seen_);
    const bool changed = change && *change <= now;
    const bool output = counters_[0].output(now);
    seen_ = now;
    if (changed && output == output_) {
        interrupt_(!output); // it went there and back meanwhile
        interrupt_(output);
    } else if (output != output_) {
        interrupt_(output);
    }
    output_ = output;
}

void I8254::arm() {
    const auto change = counters_[0].next_change(seen_);
    if (!change) {
        timer_.cancel();
        return;
    }
    // One tick later, so that a pulse of one tick is over and costs no wake-up of its own.
    const std::uint64_t due = mul_div_up(*change + 1, second, input_hz);
    const Nanoseconds now = env_.clock.now();
    const auto wait = static_cast<Nanoseconds>(
        std::min<std::uint64_t>(due - std::min(due, static_cast<std::uint64_t>(now)), longest_wait));
    timer_.arm(now + std::max(wait, shortest_wait));
}

std::uint64_t I8254::read(unsigned region, std::uint64_t offset, unsigned /*size*/) {
    if (region == system_port) {
        return read_system_port();
    }
    return offset == control_port ? 0 : counters_[offset].read(ticks());
}

void I8254::write(unsigned region, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    follow_output();
    if (region == system_port) {
        system_port_ = byte & writable;
        counters_[2].set_gate(seen_, (byte & gate2) != 0);
        return;
    }
    if (offset == control_port) {
        write_control(byte);
    } else {
        counters_[offset].write(seen_, byte);
    }
    follow_output();
    arm();
}

void I8254::write_control(std::uint8_t value) {
    const unsigned selected = value >> 6;
    if (selected == counters_.size()) { // read-back
        for (unsigned i = 0; i < counters_.size(); ++i) {
            if (test_bit(value, i + 1)) {
                if (!test_bit(value, 5)) {
                    counters_[i].latch_count(seen_);
                }
                if (!test_bit(value, 4)) {
                    counters_[i].latch_status(seen_);
                }
            }
        }
    } else if ((value & 0x30) == 0) {
        counters_[selected].latch_count(seen_);
    } else {
        counters_[selected].set_control(value & 0x3F);
    }
}

std::uint8_t I8254::read_system_port() const {
    const bool refreshing = env_.clock.now() / refresh_period % 2 != 0;
    return static_cast<std::uint8_t>(system_port_ | (refreshing ? refresh : 0) |
                                     (counters_[2].output(ticks()) ? output2 : 0));
}

void I8254::reset() {
    for (I8254Counter& counter : counters_) {
        counter.reset(&counter != &counters_[2]); // counter 2's gate is port 0x61's, 0 now
    }
    system_port_ = 0;
    follow_output();
    arm();
}

void I8254::visit(StateVisitor& visitor) {
    if (!visitor.loading()) {
        follow_output();
    }
    for (I8254Counter& counter : counters_) {
        counter.visit(visitor);
    }
    visitor.field_up_to("system_port", system_port_, writable);
    visitor.field("seen", seen_);
    visitor.field("output", output_);
    if (visitor.loading()) {
        interrupt_(output_);
        follow_output();
        arm();
    }
}

} // namespace strata::devices
