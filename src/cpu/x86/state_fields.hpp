// The parts of a processor's state by name, each an integer: to write a state down, to read it, to tell what
// of two states differs.
#pragma once

#include "cpu/x86/state.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strata::cpu::x86 {

struct StateField {
    std::string name; // "rax", "cs.base", "ymm3.1"
    std::size_t offset;
    std::uint8_t size;  // in bytes
    std::uint64_t most; // larger values are impossible
};

// All of them: what they hold together is the state.
[[nodiscard]] std::span<const StateField> state_fields();
// Null: there is none of this name.
[[nodiscard]] const StateField* find_state_field(std::string_view name);

[[nodiscard]] std::uint64_t get(const State& state, const StateField& field);
// `value` is at most `field.most`.
void set(State& state, const StateField& field, std::uint64_t value);

} // namespace strata::cpu::x86
