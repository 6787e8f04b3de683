// SIMD floating-point exceptions. With all of them masked, which is nearly always, an operation is simply
// carried out and its flags gather in the host's unit. With one unmasked it is carried out masked with clear
// flags first, and what it raised decides. SDM volume 1 sections 11.5.2, 11.5.3.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/x86/sse_environment.hpp"

#include <concepts>
#include <cstdint>

namespace strata::cpu::interpreter::simd {

// The slow way: stands around an operation while an exception is unmasked.
class UnmaskedExceptions {
public:
    explicit UnmaskedExceptions(Cpu& cpu);

    // The unit, run masked, does not tell all about overflow and underflow that are not.
    [[nodiscard]] bool needs_post_flags() const;
    // Raises #XM if the operation raised something unmasked. `post_flags`, if needed, are its overflow,
    // underflow and precision flags.
    void check(std::uint32_t post_flags);

private:
    Cpu& cpu_;
    std::uint32_t unmasked_;
};

[[nodiscard]] inline bool all_exceptions_masked(const Cpu& cpu) {
    return (cpu.fp.mxcsr & x86::mxcsr::masks) == x86::mxcsr::masks;
}

// The value of `operation`, which must not change the guest's state. `post_flags(mxcsr)` tells the flags that
// UnmaskedExceptions may need.
template <class Operation, class PostFlags>
[[nodiscard]] inline auto computed(Cpu& cpu, Operation operation, PostFlags post_flags) {
    if (all_exceptions_masked(cpu)) [[likely]] {
        return operation();
    }
    UnmaskedExceptions exceptions(cpu);
    const auto result = operation();
    exceptions.check(exceptions.needs_post_flags() ? post_flags(cpu.fp.mxcsr) : 0);
    return result;
}

// For operations that neither overflow nor underflow.
template <class Operation>
[[nodiscard]] inline auto computed(Cpu& cpu, Operation operation) {
    return computed(cpu, operation,
                    [](std::uint32_t) { return x86::sse_environment::raised() & x86::mxcsr::precision; });
}

} // namespace strata::cpu::interpreter::simd
