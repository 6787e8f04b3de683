// Addresses of operands, in guest registers.
#pragma once

#include "cpu/translator/decoded.hpp"

#include <cstdint>

namespace strata::cpu::translator {

// A linear address: base + index * scale + displacement + a segment's base. Registers are the guest's.
struct EffectiveAddress {
    static constexpr int none = -1;
    int base = none, index = none;
    unsigned scale = 1;
    std::int64_t displacement = 0; // with no register: the whole address
    int segment = none;            // FS or GS
    bool narrow = false;           // modulo 2^32
    bool from_rip = false; // a distance from RIP is in the displacement, which goes where the code goes
    // Of a bit string: + the element that has the bit with the number in this register.
    int bits = none;
    unsigned element = 0; // its bytes
};

// Whether it is a general register or a part of one.
[[nodiscard]] bool is_general(ZydisRegister name);

// AH to BH, which can be named in four registers alone.
[[nodiscard]] constexpr bool is_high_byte(ZydisRegister name) {
    return name >= ZYDIS_REGISTER_AH && name <= ZYDIS_REGISTER_BH;
}

// BT and its kin on memory, where a register says which bit, as far away as it may be.
[[nodiscard]] bool is_bit_string(const Decoded& decoded);

[[nodiscard]] constexpr bool tests_bits(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS ||
           mnemonic == ZYDIS_MNEMONIC_BTR || mnemonic == ZYDIS_MNEMONIC_BTC;
}

// All 64 bits of a general register.
[[nodiscard]] inline bool is_whole(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_GPR64;
}

// A general register with all that 32- or 64-bit code has of it.
[[nodiscard]] bool is_word(const Decoded& decoded, const ZydisDecodedOperand& operand);

// The guest register (0 to 15) of which `name` is all or a part.
[[nodiscard]] unsigned number_of(ZydisRegister name);
// Of an explicit memory operand of an instruction that `next_rip` follows.
[[nodiscard]] EffectiveAddress address_of(const Decoded& decoded, const ZydisDecodedOperand& operand,
                                          std::uint64_t next_rip);
// Whether the operand is one whose address translated code can make.
[[nodiscard]] bool addressable(const Decoded& decoded, const ZydisDecodedOperand& operand);
// The memory operand that is written in the instruction, or null.
[[nodiscard]] const ZydisDecodedOperand* memory_operand(const Decoded& decoded);

[[nodiscard]] inline bool is_written(const ZydisDecodedOperand& operand) {
    return (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
}

// MOV EBP, ESP or the like in 32-bit code. Copied with all 64 bits, so that what is found out about the one
// holds for the other.
[[nodiscard]] bool copies_stack_pointer(const Decoded& decoded);

// Of what is on the stack, `displacement` from where rSP points.
[[nodiscard]] EffectiveAddress on_stack(bool narrow, std::int64_t displacement);

} // namespace strata::cpu::translator
