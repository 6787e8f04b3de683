// The instruction table's shape: each group file (integer.cpp, sse.cpp, ...) exports rows; the decoder
// collects them. Adding an instruction is adding a row and a handler.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/insn.hpp"

#include <Zydis/Zydis.h>
#include <span>

namespace strata::cpu::interpreter {

// What the decoder knows when it selects a handler.
struct Decoded {
    const ZydisDecodedInstruction& info;
    const ZydisDecodedOperand* operands; // info.operand_count of them, visible ones first
    const std::uint8_t* bytes;           // info.length of them
    bool long_mode;                      // CS.L = 1
    bool real_or_v86;
    Availability sse = Availability::available, avx = Availability::available;
};

// A row: a mnemonic and how its handler is chosen. `select` has `insn` filled in from the encoding already
// and may adjust it; it returns null for a form that is not its own. Rows of several groups may share a
// mnemonic (PADDB on MM and on XMM registers): the first that returns a handler is taken; if none does, the
// form does not exist (#UD).
struct Row {
    ZydisMnemonic mnemonic;
    Handler (*select)(const Decoded& decoded, Insn& insn);
};

// Each group's rows; the list of groups is in decoder.cpp.
using Rows = std::span<const Row>;

} // namespace strata::cpu::interpreter
