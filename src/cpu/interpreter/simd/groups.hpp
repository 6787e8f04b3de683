// The row tables of the vector instructions, one a file.
#pragma once

#include "cpu/interpreter/rows.hpp"

#include <array>

namespace strata::cpu::interpreter::simd {

extern const Rows fma_rows;
extern const Rows fp_arithmetic_rows, fp_compare_rows, fp_convert_rows, fp_horizontal_rows, fp_round_rows;
extern const Rows integer_arithmetic_rows;

} // namespace strata::cpu::interpreter::simd
