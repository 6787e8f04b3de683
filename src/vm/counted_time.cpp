#include "vm/counted_time.hpp"

#include <algorithm>
#include <limits>

namespace strata::vm {

void CountedTime::reached(std::uint64_t instructions) {
    const Nanoseconds now = skipped_ + static_cast<Nanoseconds>(instructions << shift_);
    clock_.advance(std::max<Nanoseconds>(0, now - clock_.now()));
}

std::uint64_t CountedTime::attend() {
    devices_.run_due_timers();
    const auto next = devices_.next_deadline();
    if (!next) {
        return std::numeric_limits<std::uint64_t>::max();
    }
    const auto from_now = static_cast<std::uint64_t>(std::max<Nanoseconds>(0, *next - skipped_));
    return (from_now + (std::uint64_t{1} << shift_) - 1) >> shift_;
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
