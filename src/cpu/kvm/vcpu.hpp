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

    void wake() override { kick_.signalled(); }

    [[nodiscard]] bool state_is_whole() const override;

    [[nodiscard]] std::vector<Count> exits() const override { return counts_.list(); }

private:
    KvmVcpu(Machine& machine, VcpuDescriptor descriptor, const VcpuConfig& config, Bus& bus);

    [[nodiscard]] kvm_run& shared() { return descriptor_.run(); }

    // ---- the loop (vcpu.cpp) ----
    void begin();
    [[nodiscard]] std::optional<Exit> attend();
    [[nodiscard]] std::optional<Exit> take_events(std::uint32_t pending);
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
    void take_task_priority();

    // ---- state and time (vcpu_state.cpp) ----
    [[nodiscard]] std::uint64_t linear_rip() const;
    void set_board_registers();
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
    bool stopped_ = true; // run() ended for somebody who looks at the state
    x86::Activity activity_ = x86::Activity::active;
    bool ready_ = false;                 // the kernel would take an interrupt now
    bool unfinished_ = false;            // the last exit's instruction is completed by the next KVM_RUN
    bool board_known_ = false;           // the kernel knows IA32_APIC_BASE and the task priority
    std::uint8_t task_priority_ = 0;     // as the kernel knows it
    std::uint64_t deadline_ = 0;         // IA32_TSC_DEADLINE as the guest wrote it
    std::int64_t own_tsc_offset_ = 0;    // what the guest's TSC is ahead of the time base
    std::int64_t base_ = 0;              // the time base that the kernel's offset has
    bool tsc_known_ = false;             // the kernel has both
    mutable std::optional<Error> error_; // what made the vCPU unusable: run() tells
};

} // namespace strata::cpu::kvm
