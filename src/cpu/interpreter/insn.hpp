// A predecoded instruction: what the decoder found out once, so that executing it asks nothing again.
#pragma once

#include <cstdint>

namespace strata::cpu::interpreter {

class Cpu;
struct Insn;

// Carries out one instruction. On entry RIP already points behind it. A fault is thrown (Cpu::raise) before
// any guest state has changed.
using Handler = void (*)(Cpu& cpu, const Insn& insn);

// The handler of what is no instruction, and of UD0 to UD2: raises #UD.
void undefined(Cpu& cpu, const Insn& insn);

// Slots of Cpu::regs beyond the general registers, so that an address is always base + (index << scale) +
// disp.
inline constexpr std::uint8_t zero_slot = 16; // always reads 0
inline constexpr std::uint8_t rip_slot = 17;  // RIP of the next instruction

struct Insn {
    Handler handler = nullptr;
    std::uint64_t imm = 0; // immediate, sign-extended as the instruction wants it; or branch displacement
    std::int32_t disp = 0; // of the memory operand
    std::uint8_t reg = 0;  // ModRM.reg operand with its extensions (or the opcode's register)
    std::uint8_t rm = 0;   // ModRM.rm when it is a register
    std::uint8_t vvvv = 0; // VEX.vvvv
    std::uint8_t base = zero_slot, index = zero_slot;
    std::uint8_t scale : 2 = 0;        // index << scale
    std::uint8_t operand_size : 2 = 0; // 0: 8 bits, 1: 16, 2: 32, 3: 64: the effective operand size
    std::uint8_t address_size : 2 = 0; // 1: 16, 2: 32, 3: 64
    bool memory : 1 = false;           // the r/m operand is in memory
    bool lock : 1 = false;
    std::uint8_t segment : 3 = 3; // x86::SegmentIndex of the memory operand
    std::uint8_t rep : 2 = 0;     // 1: F3, 2: F2 (0: none)
    bool vex : 1 = false;         // VEX-encoded: the upper half of the destination is cleared
    bool wide : 1 = false;        // VEX.L: 256 bits
    bool flat : 1 = false;   // 64-bit code and addresses, segment base 0: the offset is the linear address
    std::uint8_t length = 0; // in bytes
    std::uint8_t extra = 0;  // for the handler (a second immediate, a fourth operand's register, ...)
};

static_assert(sizeof(Insn) == 32);

} // namespace strata::cpu::interpreter
