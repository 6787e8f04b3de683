// A virtual CPU that the host's processor runs: the loop around KVM_RUN, and what it does between two of
// them.
#pragma once

#include "cpu/assistance.hpp"
#include "cpu/kvm/exit_counts.hpp"
#include "cpu/kvm/guest_debug.hpp"
#include "cpu/kvm/kick.hpp"
#include "cpu/kvm/machine.hpp"
#include "cpu/kvm/vcpu_descriptor.hpp"

namespace strata::cpu::kvm {

class KvmVcpu final : public Vcpu, public AssistedVcpu {
public:
    [[nodiscard]] static Result<std::unique_ptr<KvmVcpu>> create(Machine& machine, const VcpuConfig& config,
                                                                 Bus& bus);

    Exit run() override;

    [[nodiscard]] Signals& signals() override { return signals_; }

    [[nodiscard]] x86::State state() const override;
    void set_state(const x86::State& state) override;
    void reset() override;

    void set_debug(const DebugControl& control) override { debug_.set(control); }

    [[nodiscard]] DebugEvent debug_event() const override { return debug_.event(); }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const override;

    [[nodiscard]] std::uint64_t instructions_retired() const override { return 0; }

    [[nodiscard]] std::int64_t tsc_offset() const override;

    [[nodiscard]] std::optional<Error> failure() const override { return error_; }

    [[nodiscard]] x86::LocalApicState local_apic() const override;

    void set_local_apic(const x86::LocalApicState& state) override { coming_apic_ = state; }

    void wake() override { kick_.signalled(); }

    [[nodiscard]] bool state_is_whole() const override;

    [[nodiscard]] std::vector<Count> exits() const override { return counts_.list(); }

private:
    KvmVcpu(Machine& machine, VcpuDescriptor descriptor, const VcpuConfig& config, Bus& bus);

    [[nodiscard]] kvm_run& shared() { return descriptor_.run(); }

    // ---- the loop (vcpu.cpp) ----
    void begin();
    [[nodiscard]] std::optional<Exit> attend();
    void take_events(std::uint32_t pending);
    void offer_interrupts(std::uint32_t pending);
    // `seen_signals` do not bring the vCPU out again; `at_once`: the guest does not run at all.
    void enter(std::uint32_t seen_signals, bool at_once);
    // Lets the kernel complete the last exit's instruction, so that the state is that between two
    // instructions.
    void settle();

    // ---- what comes out of the guest (exits.cpp) ----
    [[nodiscard]] std::optional<Exit> handle();
    void handle_ports();
    void handle_mmio();
    void handle_read_msr();
    void handle_write_msr();

    // ---- state and time (vcpu_state.cpp) ----
    [[nodiscard]] x86::Activity activity() const;
    void set_activity(x86::Activity activity);
    void put_local_apic(const x86::LocalApicState& state);
    [[nodiscard]] std::uint64_t linear_rip() const;
    void set_tsc();
    [[nodiscard]] std::uint64_t guest_tsc() const;
    [[nodiscard]] std::uint64_t host_tsc() const; // scaled

    void fail_with(Error error) const {
        if (!error_) {
            error_ = std::move(error);
        }
    }

    template <class T>
    void check(const Result<T>& result) const {
        if (!result) {
            fail_with(result.error());
        }
    }

    Machine& machine_;
    VcpuDescriptor descriptor_;
    VcpuConfig config_;
    x86::Model model_;
    Bus& bus_;
    Kick kick_;
    Signals signals_;
    GuestDebug debug_;
    ExitCounts counts_;
    bool stopped_ = true;     // run() ended for somebody who looks at the state
    bool shut_down_ = false;  // the one activity that the kernel does not keep
    bool ready_ = false;      // the kernel would take an interrupt of the 8259s now
    bool unfinished_ = false; // the last exit's instruction is completed by the next KVM_RUN
    std::optional<x86::LocalApicState> coming_apic_; // when the TSC is set, which its timer counts
    std::int64_t own_tsc_offset_ = 0;                // what the guest's TSC is ahead of the time base
    std::int64_t base_ = 0;                          // the time base that the kernel's offset has
    bool tsc_known_ = false;                         // the kernel has both
    mutable std::optional<Error> error_;             // what made the vCPU unusable: run() tells
};

} // namespace strata::cpu::kvm
