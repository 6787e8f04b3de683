// Time that is made of instructions: the clock of a machine that moves by what its one processor executes, so
// that a run can be repeated to the instruction.
#pragma once

#include <cstdint>

namespace strata::cpu {

class InstructionTime {
public:
    virtual ~InstructionTime() = default;

    // The processor has executed so many instructions, ever: so late it is for whoever asks the clock now.
    virtual void reached(std::uint64_t instructions) = 0;

    // Does what is due now. At how many instructions something is due next; the processor comes back then,
    // and after each call of its Bus, which may have changed that.
    [[nodiscard]] virtual std::uint64_t attend() = 0;
};

} // namespace strata::cpu
