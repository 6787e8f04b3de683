// One processor twice: the translator, and the interpreter behind it.
#pragma once

#include "cpu/lockstep/device_writes.hpp"
#include "cpu/lockstep/follower.hpp"
#include "cpu/lockstep/memories.hpp"
#include "cpu/lockstep/recorder.hpp"
#include "cpu/software_vcpu.hpp"
#include "cpu/translator/translator.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace strata::cpu::lockstep {

class LockstepVcpu final : public Vcpu, public CountingVcpu, public FailingVcpu {
public:
    static constexpr std::size_t code_size = std::size_t{48} << 20;

    LockstepVcpu(memory::GuestMemory& memory, memory::GuestMemory& copy, translator::CodeMemory code,
                 const Clock& clock, const VcpuConfig& config, Bus& bus);
    ~LockstepVcpu() override;
    LockstepVcpu(const LockstepVcpu&) = delete;
    LockstepVcpu& operator=(const LockstepVcpu&) = delete;

    Exit run() override;

    [[nodiscard]] Signals& signals() override { return leader().signals(); }

    [[nodiscard]] x86::State state() const override { return frame_->cpu.state(); }

    void set_state(const x86::State& state) override;
    void reset() override;

    void set_debug(const DebugControl& control) override { leader().set_debug(control); }

    [[nodiscard]] DebugEvent debug_event() const override { return frame_->cpu.debug_event(); }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const override {
        return frame_->cpu.translate(linear);
    }

    [[nodiscard]] std::uint64_t instructions_retired() const override { return retired_.load(); }

    [[nodiscard]] std::optional<Error> failure() const override { return failure_; }

    [[nodiscard]] Counts counts() const override;

private:
    [[nodiscard]] interpreter::Cpu& leader() { return frame_->cpu; }

    [[nodiscard]] std::optional<Exit> run_stretch(std::uint32_t pending);
    [[nodiscard]] bool at_fetchable_code();
    void start_alike();
    void differ(const std::string& what, const x86::State& before);
    void end_stretches(const std::stop_token& stop);

    memory::GuestMemory& memory_;
    DeviceWrites device_writes_;
    Clock time_{0}; // as the leader sees it
    Recorder bus_;
    interpreter::Shared shared_;
    std::unique_ptr<translator::Frame> frame_;
    translator::Translator translator_;
    Memories memories_;
    Follower follower_;
    Stretch stretch_;
    bool alike_ = false;                // the follower has the leader's state, and the copy of memory is one
    std::uint64_t next_forgetting_ = 0; // in instructions
    std::optional<Error> failure_;
    std::atomic<std::uint64_t> retired_{0}, stretches_{0}, not_compared_{0};
    std::atomic<bool> at_work_{false};
    std::jthread timer_;
};

} // namespace strata::cpu::lockstep
