// One processor twice: the translator, or whatever leads, and the interpreter behind it.
#pragma once

#include "cpu/lockstep/case.hpp"
#include "cpu/lockstep/device_writes.hpp"
#include "cpu/lockstep/follower.hpp"
#include "cpu/lockstep/leader.hpp"
#include "cpu/lockstep/memories.hpp"
#include "cpu/lockstep/recorder.hpp"
#include "cpu/software_vcpu.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace strata::cpu::lockstep {

// Two memories like the machine's.
struct Copies {
    std::unique_ptr<memory::GuestMemory> follower, before;

    [[nodiscard]] static Result<Copies> of(const memory::GuestMemory& memory);
};

class LockstepVcpu final : public Vcpu, public CountingVcpu, public FailingVcpu {
public:
    [[nodiscard]] static Result<std::unique_ptr<LockstepVcpu>>
    create(memory::GuestMemory& memory, const Copies& copies, const Clock& clock, const VcpuConfig& config,
           Bus& bus, const MakeLeader& make_leader = make_translating_leader, const Pace& pace = {});
    ~LockstepVcpu() override;
    LockstepVcpu(const LockstepVcpu&) = delete;
    LockstepVcpu& operator=(const LockstepVcpu&) = delete;

    Exit run() override;
    // To the leader's next look at its signals; with Exit::shutdown after a difference.
    [[nodiscard]] std::optional<Exit> run_stretch();

    [[nodiscard]] Signals& signals() override { return leader().signals(); }

    [[nodiscard]] x86::State state() const override { return leader_->cpu().state(); }

    void set_state(const x86::State& state) override;
    void reset() override;

    void set_debug(const DebugControl& control) override { leader().set_debug(control); }

    [[nodiscard]] DebugEvent debug_event() const override { return leader_->cpu().debug_event(); }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const override {
        return leader_->cpu().translate(linear);
    }

    [[nodiscard]] std::uint64_t instructions_retired() const override { return retired_.load(); }

    [[nodiscard]] std::optional<Error> failure() const override { return failure_; }

    [[nodiscard]] std::string evidence() const override { return failed_on_ ? case_text(*failed_on_) : ""; }

    // After a difference: both states, and what shows it again.
    [[nodiscard]] const std::string& report() const { return report_; }

    [[nodiscard]] const std::optional<Case>& failed_on() const { return failed_on_; }

    [[nodiscard]] Counts counts() const override;

private:
    LockstepVcpu(memory::GuestMemory& memory, const Copies& copies, const Clock& clock,
                 const VcpuConfig& config, Bus& bus, const Pace& pace);

    [[nodiscard]] interpreter::Cpu& leader() { return leader_->cpu(); }

    void prepare(std::uint32_t& pending);
    [[nodiscard]] std::optional<Exit> lead(std::uint32_t pending);
    [[nodiscard]] bool at_fetchable_code();
    void start_alike();
    void differ(const std::string& what, const x86::State& before);
    [[nodiscard]] Case make_case(const x86::State& before);
    void end_stretches(const std::stop_token& stop);

    memory::GuestMemory& memory_;
    DeviceWrites device_writes_;
    Clock time_{0}; // as the leader sees it
    Recorder bus_;
    const Pace pace_;
    const VcpuConfig config_;
    interpreter::Shared shared_;
    std::unique_ptr<Leader> leader_;
    Memories memories_;
    Follower follower_;
    Stretch stretch_;
    bool alike_ = false;                // the follower has the leader's state, and the copy of memory is one
    bool repeating_ = false;            // an instruction, of which there was one round: the rest comes in one
    std::uint64_t next_forgetting_ = 0; // in instructions
    std::optional<Error> failure_;
    std::string report_;
    std::optional<Case> failed_on_;
    std::atomic<std::uint64_t> retired_{0}, stretches_{0}, not_compared_{0};
    std::atomic<bool> at_work_{false};
    std::jthread timer_;
};

} // namespace strata::cpu::lockstep
