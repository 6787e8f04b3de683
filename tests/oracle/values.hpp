// Operand values that find mistakes: boundaries, special numbers, patterns, and plain random ones.
#pragma once

#include "cpu/x86/state.hpp"
#include "random.hpp"

#include <cstdint>
#include <span>

namespace strata::oracle {

[[nodiscard]] std::uint64_t integer_value(Random& random);
[[nodiscard]] std::uint32_t float16_pair(Random& random);
[[nodiscard]] std::uint32_t float32_value(Random& random);
[[nodiscard]] std::uint64_t float64_value(Random& random);
// Also the encodings that no operation produces: unnormals, pseudo-denormals, pseudo-infinities.
[[nodiscard]] cpu::x86::Float80 float80_value(Random& random);

// What a run of bytes is to hold.
enum class Lane : std::uint8_t { integer, float16, float32, float64, float80, bytes };

void fill_lanes(Random& random, Lane lane, std::span<std::uint8_t> to);

} // namespace strata::oracle
