// Runs one x87, MMX or SSE instruction in the interpreter, as NativeFpu does on the host.
#pragma once

#include "cpu_fixture.hpp"
#include "native_fpu.hpp"

namespace strata::cpu::testing {

class InterpretedFpu {
public:
    InterpretedFpu() { machine_.catch_exceptions(); }

    // As NativeFpu::run(), but with the exception's vector in place of the signal.
    [[nodiscard]] std::optional<x86::Vector> run(std::span<const std::uint8_t> instruction, FpuCase& state);

private:
    TestCpu machine_{Mode::long64};
};

} // namespace strata::cpu::testing
