// The instruction groups: each file of handlers offers its rows under one name; groups.cpp lists them.
#pragma once

#include "cpu/interpreter/rows.hpp"

#include <vector>

namespace strata::cpu::interpreter {

Rows arithmetic_rows(); // ADD ADC SUB SBB CMP AND OR XOR TEST INC DEC NEG NOT
Rows transfer_rows();   // MOV MOVZX MOVSX XCHG LEA CMOVcc SETcc ...
Rows branch_rows();     // near JMP CALL RET Jcc LOOP

// All groups, in the order in which a mnemonic's rows are tried.
[[nodiscard]] const std::vector<Rows>& instruction_groups();

} // namespace strata::cpu::interpreter
