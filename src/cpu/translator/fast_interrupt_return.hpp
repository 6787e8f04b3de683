// IRETQ between 64-bit code without the interpreter, as long as it does what the interpreter has done before:
// with the same selectors, the same descriptors in the GDT, and flags that are usual.
#pragma once

#include "cpu/interpreter/fast_system_calls.hpp"
#include "cpu/interpreter/tlb.hpp"

#include <array>
#include <cstdint>

namespace strata::cpu::translator {

// Where an IRETQ from privilege level 0 went, and what that depended on.
struct KnownReturn {
    std::uint32_t code_selector = 0, stack_selector = 0; // CS null: nothing is known
    std::uint64_t table = 0;                             // GDTR's base,
    std::uint32_t table_limit = 0;                       // and its limit
    // Linear addresses of the descriptors, and what was there. For a null SS the code segment's once more.
    std::uint64_t code_at = 0, stack_at = 0, code_descriptor = 0, stack_descriptor = 0;
    interpreter::CodeAndStack segments;
};

struct FastInterruptReturns {
    enum Kind : std::uint8_t { to_user, to_kernel, to_kernel_without_stack, kinds }; // with a null SS

    std::array<std::uint32_t, 2> wide{}; // whether the JumpCaches of supervisor and user know 64-bit code
    std::array<KnownReturn, kinds> known;

    // Behind an IRETQ from level 0 that the interpreter has carried out: from the state that it left, and the
    // TLB for supervisors.
    void learn(const x86::SystemState& system, interpreter::TlbSet& tlb);
};

} // namespace strata::cpu::translator
