// The interpreter, and behind it the host's processor: in samples, what an instruction did is done again by
// KVM as a single step, on a copy of memory, from the same state and with the same answers of the bus.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/kvm/machine.hpp"
#include "cpu/kvm/vcpu.hpp"
#include "cpu/lockstep/device_writes.hpp"
#include "cpu/lockstep/hardware_bus.hpp"
#include "cpu/lockstep/instruction_at.hpp"
#include "cpu/lockstep/recorder.hpp"
#include "cpu/software_vcpu.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace strata::cpu::lockstep {

// So many instructions are checked, then at least so long none is: the guest has to get on.
struct Sampling {
    std::uint64_t instructions = 250;
    std::chrono::milliseconds pause{50};
};

class CheckedVcpu final : public Vcpu, public CountingVcpu, public FailingVcpu, private TraceSink {
public:
    // `hardware` is a machine that has `copy`, which is as large as `memory`. All outlive the vCPU.
    [[nodiscard]] static Result<std::unique_ptr<CheckedVcpu>>
    create(memory::GuestMemory& memory, memory::GuestMemory& copy, kvm::Machine& hardware, const Clock& clock,
           const VcpuConfig& config, Bus& bus, const Sampling& sampling = {});
    ~CheckedVcpu() override;
    CheckedVcpu(const CheckedVcpu&) = delete;
    CheckedVcpu& operator=(const CheckedVcpu&) = delete;

    Exit run() override;

    [[nodiscard]] Signals& signals() override { return cpu_.signals(); }

    [[nodiscard]] x86::State state() const override { return cpu_.state(); }

    void set_state(const x86::State& state) override;
    void reset() override;

    // No samples are taken under a debugger that wants anything.
    void set_debug(const DebugControl& control) override;

    [[nodiscard]] DebugEvent debug_event() const override { return cpu_.debug_event(); }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const override {
        return cpu_.translate(linear);
    }

    [[nodiscard]] std::uint64_t instructions_retired() const override { return cpu_.retired(); }

    [[nodiscard]] std::optional<Error> failure() const override { return failure_; }

    [[nodiscard]] Counts counts() const override;

private:
    CheckedVcpu(memory::GuestMemory& memory, memory::GuestMemory& copy, kvm::Machine& hardware,
                const Clock& clock, const VcpuConfig& config, Bus& bus, const Sampling& sampling);

    void trace(unsigned vcpu, std::string_view line) override;

    [[nodiscard]] std::optional<Exit> run_unchecked();
    void begin_sample();
    [[nodiscard]] std::optional<Exit> run_checked();
    void end_sample();
    void stop_sampling();

    // What the interpreter has just done, from `before` on.
    struct Done {
        Instruction instruction;
        x86::State before;
        std::vector<memory::GuestPhysical> written; // pages, in this sample
    };

    void check(const Done& done);
    [[nodiscard]] std::string differences(const Done& done);
    [[nodiscard]] std::string states_differ(const Done& done);
    [[nodiscard]] std::string pages_differ(const std::vector<memory::GuestPhysical>& pages) const;
    // The hardware gets the interpreter's state, and what the interpreter wrote.
    void give_state();
    void give_pages(const std::vector<memory::GuestPhysical>& pages);
    void give_device_writes();
    void differ(const std::string& what, const std::string& where);
    void announce_samples(const std::stop_token& stop);

    memory::GuestMemory& memory_;
    memory::GuestMemory& copy_;
    kvm::Machine& hardware_;
    const x86::Model model_;
    const Sampling sampling_;
    DeviceWrites device_writes_;
    Clock recorded_time_{0}, replayed_time_{0}; // nobody looks at them
    Recorder bus_;
    interpreter::Shared shared_;
    interpreter::Cpu cpu_;
    HardwareBus hardware_bus_;
    std::unique_ptr<kvm::KvmVcpu> processor_;
    Stretch stretch_;
    std::uint64_t left_ = 0;                    // instructions of the sample that is being taken
    std::uint64_t events_ = 0;                  // exceptions and interrupts, ever
    std::set<memory::GuestPhysical> devices_{}; // pages that devices wrote while the sample is being taken
    bool debugged_ = false;
    std::optional<Error> failure_;
    std::atomic<std::uint64_t> compared_{0}, not_steppable_{0}, not_compared_{0}, samples_{0};
    std::atomic<bool> at_work_{false}, due_{true}, sampled_{false};
    std::jthread timer_;
};

} // namespace strata::cpu::lockstep
