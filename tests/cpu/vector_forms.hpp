// Every encoding of the vector instructions that the interpreter has, found by decoding.
#pragma once

#include <Zydis/Zydis.h>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

namespace strata::cpu::testing {

// One form: how to encode it but for registers and the immediate.
struct VectorForm {
    bool vex;
    std::uint8_t prefix; // legacy: 0, 0x66, 0xF3, 0xF2; VEX: pp
    std::uint8_t map;    // 1: 0F, 2: 0F38, 3: 0F3A
    bool w, l;
    std::uint8_t opcode;
    std::uint8_t extension; // ModRM.reg for groups
    bool memory;
    ZydisMnemonic mnemonic;
    ZydisISASet set;
    bool gather = false, reg_is_extension = false;
};

// Bytes of a form with operands; the memory operand is [RDI + disp32], the gathers' [RDI + index * 4].
struct Encoded {
    std::vector<std::uint8_t> bytes;
    unsigned index = 0; // the gather's index register
};

// All forms in 64-bit mode whose ISA set `wanted` accepts.
[[nodiscard]] std::vector<VectorForm> vector_forms(bool (*wanted)(const ZydisDecodedInstruction&));
// With random registers and immediate; empty if the combination does not exist (equal registers in a gather).
[[nodiscard]] Encoded encode(const VectorForm& form, std::mt19937_64& random, std::int32_t displacement);

} // namespace strata::cpu::testing
