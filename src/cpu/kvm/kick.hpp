// How a vCPU is brought out of the guest: a signal to its thread interrupts KVM_RUN, and the immediate-exit
// flag covers the time before the thread is in the kernel, so that no signal comes too early or too late.
#pragma once

#include <atomic>
#include <linux/kvm.h>
#include <sys/types.h>

namespace strata::cpu::kvm {

class Kick {
public:
    // `run` outlives this.
    explicit Kick(kvm_run& run);

    // The vCPU's thread, around KVM_RUN. Whoever calls signalled() after enter() brings it out; what was
    // signalled before is for the caller to look at, after enter().
    void enter();
    void leave();
    // KVM_RUN completes what it owes to the last exit and comes back without running the guest.
    void come_back_at_once();

    void signalled(); // any thread

private:
    kvm_run& run_;
    std::atomic<bool> in_guest_{false};
    std::atomic<pid_t> thread_{0};
};

} // namespace strata::cpu::kvm
