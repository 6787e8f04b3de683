#include "vm/counted_time.hpp"

#include <algorithm>

namespace strata::vm {

void CountedTime::reached(std::uint64_t instructions) {
    reached_ = instructions;
    const Nanoseconds now = skipped_ + static_cast<Nanoseconds>(instructions << shift_);
    clock_.advance(std::max<Nanoseconds>(0, now - clock_.now()));
}

std::uint64_t CountedTime::attend() {
    devices_.run_due_timers();
    // Others may arm timers, too: the network.
    constexpr std::uint64_t most_instructions = 1'000'000;
    const std::uint64_t latest = reached_ + most_instructions;
    const auto next = devices_.next_deadline();
    if (!next) {
        return latest;
    }
    const auto due = static_cast<std::uint64_t>(std::max<Nanoseconds>(0, *next - skipped_));
    return std::min(latest, (due + (std::uint64_t{1} << shift_) - 1) >> shift_);
}

bool CountedTime::skip() {
    const auto next = devices_.next_deadline();
    if (!next) {
        return false;
    }
    const Nanoseconds step = std::max<Nanoseconds>(0, *next - clock_.now());
    skipped_ += step;
    clock_.advance(step);
    devices_.run_due_timers();
    return true;
}

} // namespace strata::vm
