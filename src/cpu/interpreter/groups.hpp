// The instruction groups: each file of handlers offers its rows under one name; groups.cpp lists them.
#pragma once

#include "cpu/interpreter/rows.hpp"

#include <vector>

namespace strata::cpu::interpreter {

Rows arithmetic_rows();    // ADD ADC SUB SBB CMP AND OR XOR TEST INC DEC NEG NOT
Rows transfer_rows();      // MOV MOVZX MOVSX XCHG LEA CMOVcc SETcc ...
Rows branch_rows();        // near JMP CALL RET Jcc LOOP
Rows stack_rows();         // PUSH POP ENTER LEAVE PUSHF POPF
Rows multiply_rows();      // MUL IMUL DIV IDIV
Rows shift_rows();         // shifts, rotates, double shifts
Rows bit_rows();           // BT BTS BTR BTC BSF BSR and counts
Rows bmi_rows();           // BMI1 BMI2 ADX
Rows semaphore_rows();     // XADD CMPXCHG CMPXCHG8B CMPXCHG16B
Rows string_rows();        // MOVS CMPS STOS LODS SCAS
Rows decimal_rows();       // DAA DAS AAA AAS AAM AAD
Rows flag_control_rows();  // CLC STC CMC CLD STD CLI STI LAHF SAHF
Rows miscellaneous_rows(); // NOP, hints, fences, RDRAND, BOUND, UD

// All groups, in the order in which a mnemonic's rows are tried.
[[nodiscard]] const std::vector<Rows>& instruction_groups();

} // namespace strata::cpu::interpreter
