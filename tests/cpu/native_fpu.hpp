// Runs one x87, MMX or SSE instruction on the host's own processor, for comparison.
#pragma once

#include "cpu/x86/state.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace strata::cpu::testing {

// Where FIP and FDP point afterwards, if to the instruction and its operand, whose addresses differ between
// runs.
inline constexpr std::uint32_t own_instruction = 0x5E1F'0001, own_memory = 0x5E1F'0002;

// What an instruction sees and changes. Its memory operand, if any, is `memory`, addressed by RDX (and RDI).
struct FpuCase {
    x86::FpState fp{};
    std::uint64_t rax = 0;
    std::uint64_t rflags = 0x202;
    alignas(64) std::array<std::uint8_t, 128> memory{};
};

class NativeFpu {
public:
    NativeFpu();
    ~NativeFpu();
    NativeFpu(const NativeFpu&) = delete;
    NativeFpu& operator=(const NativeFpu&) = delete;

    // Changes `state` as the instruction does; or returns the signal that it died of. In `fp`, x87 state, the
    // XMM registers and MXCSR count.
    [[nodiscard]] std::optional<int> run(std::span<const std::uint8_t> instruction, FpuCase& state);

private:
    std::uint8_t* code_;
};

} // namespace strata::cpu::testing
