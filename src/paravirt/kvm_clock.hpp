// KVM's paravirtual clock: a guest finds it by CPUID leaves 0x4000'0000 and 0x4000'0001, names a page of its
// memory by MSR, and reads there how the time-stamp counter turns into nanoseconds. Linux kernel
// documentation, "KVM-specific MSRs" and "KVM CPUID bits".
#pragma once

#include "base/state_visitor.hpp"
#include "memory/guest_memory.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace strata::paravirt {

// One vCPU's part. All members are called with the machine's device lock held.
class KvmClock {
public:
    struct Config {
        std::uint64_t tsc_hz = 1'000'000'000; // of the vCPU's time-stamp counter, over the machine's clock
        std::function<std::int64_t()> tsc_offset{}; // added to that counter; empty: 0
        std::int64_t boot_time = 0; // nanoseconds since 1970 at which the machine's clock was 0
    };

    KvmClock(memory::GuestMemory& memory, Config config);

    // Fills leaves 0x4000'0000 and 0x4000'0001 (eax, ebx, ecx, edx); leaves others alone.
    static void adjust_cpuid(std::uint32_t leaf, std::span<std::uint32_t, 4> registers);

    // The clock's MSRs (old and new numbers). Empty or false: no such MSR.
    [[nodiscard]] std::optional<std::uint64_t> read_msr(std::uint32_t index) const;
    [[nodiscard]] bool write_msr(std::uint32_t index, std::uint64_t value);

    // Writes the guest's structure again: after the machine was stopped, restored, or the counter was
    // written. `stopped`: tell the guest that it did not run for a while, so that its watchdogs forgive.
    void refresh(bool stopped = false);

    void reset();
    void visit(StateVisitor& visitor);

private:
    void write_wall_clock();

    memory::GuestMemory& memory_;
    Config config_;
    std::uint64_t system_time_ = 0, wall_clock_ = 0; // the MSRs
};

} // namespace strata::paravirt
