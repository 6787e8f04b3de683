// The row tables of the vector instructions, one a file.
#pragma once

#include "cpu/interpreter/rows.hpp"

#include <array>

namespace strata::cpu::interpreter::simd {

extern const Rows fma_rows;
extern const Rows fp_arithmetic_rows, fp_compare_rows, fp_convert_rows, fp_horizontal_rows, fp_round_rows;
extern const Rows blend_rows, element_rows, integer_arithmetic_rows, logic_rows, permute_rows, shift_rows,
    shuffle_rows;
extern const Rows gather_rows, masked_move_rows, move_rows, move_partial_rows;

} // namespace strata::cpu::interpreter::simd
