// What has a vCPU's place while it has no engine: keeps its state, and the signals that come meanwhile.
#pragma once

#include "cpu/engine.hpp"

namespace strata::vm {

class StandIn final : public cpu::Vcpu {
public:
    explicit StandIn(const cpu::x86::State& state) : state_(state) {}

    cpu::Exit run() override { return cpu::Exit::requested; }

    [[nodiscard]] cpu::Signals& signals() override { return signals_; }

    [[nodiscard]] cpu::x86::State state() const override { return state_; }

    void set_state(const cpu::x86::State& state) override { state_ = state; }

    void reset() override {}

    void set_debug(const cpu::DebugControl&) override {}

    [[nodiscard]] cpu::DebugEvent debug_event() const override { return {}; }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t) const override { return {}; }

    [[nodiscard]] std::uint64_t instructions_retired() const override { return 0; }

private:
    cpu::x86::State state_;
    cpu::Signals signals_;
};

} // namespace strata::vm
