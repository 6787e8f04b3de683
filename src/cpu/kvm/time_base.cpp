#include "cpu/kvm/time_base.hpp"

#include "base/scale.hpp"

namespace strata::cpu::kvm {

std::uint64_t TimeBase::ticks() const {
    constexpr std::uint64_t second = 1'000'000'000;
    return mul_div(static_cast<std::uint64_t>(clock_.now()), tsc_hz_, second);
}

void TimeBase::clock_resumed() {
    const std::lock_guard lock(mutex_);
    known_ = false;
}

std::int64_t TimeBase::base(std::uint64_t host_tsc) {
    const std::lock_guard lock(mutex_);
    if (!known_) {
        base_ = static_cast<std::int64_t>(ticks() - host_tsc) + drift_;
        known_ = true;
    }
    return base_;
}

void TimeBase::keep_drift(std::uint64_t host_tsc) {
    const std::lock_guard lock(mutex_);
    if (known_ && !clock_.paused()) {
        drift_ = static_cast<std::int64_t>(host_tsc + static_cast<std::uint64_t>(base_) - ticks());
    }
}

std::int64_t TimeBase::drift() {
    const std::lock_guard lock(mutex_);
    return drift_;
}

} // namespace strata::cpu::kvm
