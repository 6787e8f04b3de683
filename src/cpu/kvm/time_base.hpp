// How the guests' TSC hangs on the machine's clock when the processor counts it: guest TSC = host TSC
// (scaled) + base + the vCPU's own offset. The base is one for all vCPUs, so that their counters agree to the
// tick, and it is found anew after the clock was paused, so that the guest's time has no gap.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <mutex>

namespace strata::cpu::kvm {

class TimeBase {
public:
    explicit TimeBase(const Clock& clock) : clock_(clock) {}

    // Before the first vCPU runs.
    void set_rate(std::uint64_t tsc_hz) { tsc_hz_ = tsc_hz; }

    // The clock went on after a pause: the base is found anew.
    void clock_resumed();

    // The base now; `host_tsc` is the scaled host's counter at this moment. Any vCPU's thread.
    [[nodiscard]] std::int64_t base(std::uint64_t host_tsc);
    // Before a vCPU parks. The host's TSC and its clock run apart (the clock is disciplined, the counter is
    // not): what they have run apart until a pause is kept over it, so that no guest sees its counter go
    // back.
    void keep_drift(std::uint64_t host_tsc);
    // By how much the counters are ahead of the machine's clock.
    [[nodiscard]] std::int64_t drift();

    // The machine's clock in ticks.
    [[nodiscard]] std::uint64_t ticks() const;

private:
    const Clock& clock_;
    std::uint64_t tsc_hz_ = 1'000'000'000;
    std::mutex mutex_; // guards what follows
    bool known_ = false;
    std::int64_t base_ = 0, drift_ = 0;
};

} // namespace strata::cpu::kvm
