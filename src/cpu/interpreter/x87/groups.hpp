// The row tables of the x87 instructions, one a file.
#pragma once

#include "cpu/interpreter/rows.hpp"

namespace strata::cpu::interpreter::x87 {

Rows transfer_rows();    // loads, stores, exchanges, constants
Rows arithmetic_rows();  // add, subtract, multiply, divide
Rows comparison_rows();  // compare, test, examine
Rows function_rows();    // square root to arctangent: the one- and two-operand functions
Rows control_rows();     // control and status words, tags, stack pointer
Rows environment_rows(); // the environment and whole state in memory

} // namespace strata::cpu::interpreter::x87
