// The bus of the host's processor that checks: answers as the interpreter got them.
#pragma once

#include "cpu/lockstep/replayer.hpp"

namespace strata::cpu::lockstep {

class HardwareBus final : public Replayer {
public:
    HardwareBus(memory::GuestMemory& memory, Clock& time, Bus& machine)
        : Replayer(memory, time), machine_(machine) {}

    // KVM asks for these when the vCPU is made.
    void adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                      std::span<std::uint32_t, 4> registers) override {
        machine_.adjust_cpuid(leaf, subleaf, registers);
    }

private:
    Bus& machine_;
};

} // namespace strata::cpu::lockstep
