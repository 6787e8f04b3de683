// The instruction forms: a mnemonic with the kinds and sizes of its operands, and every encoding that means
// it. Found by decoding the whole opcode space, so that no list of instructions can forget one.
#pragma once

#include "isa.hpp"

#include <Zydis/Zydis.h>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace strata::oracle {

enum class OpcodeMap : std::uint8_t { one_byte, escape_0f, escape_0f38, escape_0f3a, three_d_now };

struct Encoding {
    OpcodeMap map = OpcodeMap::one_byte;
    std::uint8_t opcode = 0; // in 3DNow!, the suffix
    bool vex = false;
    bool wide = false;         // VEX.L
    bool w = false;            // REX.W or VEX.W
    bool operand_size = false; // prefix 66 (in VEX: pp)
    std::uint8_t repeat = 0;   // prefix F3 or F2, or 0 (in VEX: pp)
    bool has_modrm = false;
    bool memory = false;          // mod is not 3
    std::uint8_t reg = 0, rm = 0; // ModRM fields; rm for registers only
    bool fixed_rm = false;        // another rm is another instruction
};

struct Form {
    std::string name; // "add r32, m32"
    ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
    std::string_view skipped; // why it is not compared, or empty
    std::vector<Encoding> encodings;
};

// A decoded instruction with all its operands.
struct Decoded {
    ZydisDecodedInstruction info;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;

    [[nodiscard]] std::span<const ZydisDecodedOperand> all() const {
        return std::span(operands).first(info.operand_count);
    }
};

class Disassembler {
public:
    explicit Disassembler(unsigned width); // of the code: 64, 32 or 16

    [[nodiscard]] bool decode(std::span<const std::uint8_t> bytes, Decoded& decoded) const;
    [[nodiscard]] std::string format(std::span<const std::uint8_t> bytes, std::uint64_t address) const;

    [[nodiscard]] unsigned width() const { return width_; }

private:
    unsigned width_;
    ZydisDecoder decoder_;
    ZydisFormatter formatter_;
};

[[nodiscard]] std::string form_name(const Decoded& decoded);

// All forms of code of the disassembler's width, sorted by name.
[[nodiscard]] std::vector<Form> enumerate_forms(const Disassembler& disassembler, const cpu::x86::Model& host,
                                                const cpu::x86::Model& model);

} // namespace strata::oracle
