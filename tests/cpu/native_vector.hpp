// Runs one user-level vector instruction on the host itself.
#pragma once

#include "cpu/x86/state.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace strata::cpu::testing {

// What vector instructions read and change.
struct VectorState {
    std::array<x86::Vector256, 16> ymm{};
    std::array<std::uint64_t, 16> gpr{}; // RSP's is not used
    std::uint64_t rflags = 2;
    std::uint64_t mxcsr = 0x1F80;

    bool operator==(const VectorState&) const = default;
};

class NativeVector {
public:
    NativeVector();
    ~NativeVector();
    NativeVector(const NativeVector&) = delete;
    NativeVector& operator=(const NativeVector&) = delete;

    // Whether the host has AVX, which the harness itself needs.
    [[nodiscard]] static bool available();

    // Executes `instruction` on `state`. False if it raised a floating-point exception; `state` is then as it
    // left it.
    [[nodiscard]] bool run(std::span<const std::uint8_t> instruction, VectorState& state);

private:
    std::byte* code_;
};

} // namespace strata::cpu::testing
