// The row tables of the instructions on MM registers, one a file.
#pragma once

#include "cpu/interpreter/rows.hpp"

namespace strata::cpu::interpreter::mmx {

Rows packed_rows();      // arithmetic, logic, comparison, shifts, rearrangements
Rows transfer_rows();    // moves, single elements, masks, EMMS
Rows conversion_rows();  // between MM and XMM registers
Rows three_d_now_rows(); // AMD's single-precision arithmetic

} // namespace strata::cpu::interpreter::mmx
