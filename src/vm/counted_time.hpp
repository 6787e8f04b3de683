// The clock of a machine that counts its instructions: each takes the same time, and where the processor has
// nothing to do, time goes on to when something is due. So what a guest with one processor does depends on
// nothing but itself, as long as nothing comes from outside.
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "cpu/instruction_time.hpp"

#include <cstdint>

namespace strata::vm {

class CountedTime final : public cpu::InstructionTime {
public:
    // An instruction takes 2^`shift` nanoseconds. `clock` is driven by hand, and `devices` follows it.
    CountedTime(Clock& clock, EventLoop& devices, unsigned shift)
        : clock_(clock), devices_(devices), shift_(shift) {}

    // The processor's thread alone, as for all:
    void reached(std::uint64_t instructions) override;
    [[nodiscard]] std::uint64_t attend() override;

    // The processor waits: goes on to what is due next, and does that. False: there is nothing.
    [[nodiscard]] bool skip();

private:
    Clock& clock_;
    EventLoop& devices_;
    const unsigned shift_;
    Nanoseconds skipped_ = 0;   // while the processor waited
    std::uint64_t reached_ = 0; // instructions
};

} // namespace strata::vm
