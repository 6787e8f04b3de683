// The row tables of the vector instructions, one a file.
#pragma once

#include "cpu/interpreter/rows.hpp"

#include <array>

namespace strata::cpu::interpreter::simd {

extern const Rows aes_rows, blend_rows, control_rows, element_rows, fma_rows, fp_arithmetic_rows,
    fp_compare_rows, fp_convert_rows, fp_horizontal_rows, fp_round_rows, gather_rows, integer_arithmetic_rows,
    logic_rows, masked_move_rows, move_rows, move_partial_rows, permute_rows, polynomial_rows, sha_rows,
    shift_rows, shuffle_rows, string_rows;

} // namespace strata::cpu::interpreter::simd
