// A guest instruction while it is translated, as Zydis sees it.
#pragma once

#include <Zydis/Zydis.h>
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace strata::cpu::translator {

struct Decoded {
    ZydisDecodedInstruction info;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;

    [[nodiscard]] std::span<const ZydisDecodedOperand> visible() const {
        return std::span(operands).first(info.operand_count_visible);
    }

    [[nodiscard]] std::span<const ZydisDecodedOperand> all() const {
        return std::span(operands).first(info.operand_count);
    }

    // Of 32-bit code.
    [[nodiscard]] bool narrow() const { return info.machine_mode != ZYDIS_MACHINE_MODE_LONG_64; }

    // Bytes of an address, of RIP and of what PUSH pushes.
    [[nodiscard]] unsigned word() const { return narrow() ? 4 : 8; }

    // Whether MM registers, which are the x87 unit's, are among its operands; or it gives them back.
    [[nodiscard]] bool uses_mmx() const {
        return info.mnemonic == ZYDIS_MNEMONIC_EMMS ||
               std::ranges::any_of(all(), [](const ZydisDecodedOperand& operand) {
                   return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                          ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_MMX;
               });
    }

    // The condition code of Jcc in the order of its encoding; empty for the others.
    [[nodiscard]] std::optional<unsigned> jump_condition() const {
        if (info.meta.category != ZYDIS_CATEGORY_COND_BR) {
            return std::nullopt;
        }
        const unsigned opcode = info.opcode;
        const bool jcc = (info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (opcode & 0xF0) == 0x70) ||
                         (info.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xF0) == 0x80);
        return jcc ? std::optional(opcode & 0xF) : std::nullopt;
    }

    // A jump, call or return that changes no segment, and is as wide as its mode (vendors differ about
    // others).
    [[nodiscard]] bool is_near_branch() const {
        const bool near = info.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT ||
                          info.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
        return near && info.operand_width == word() * 8 &&
               (jump_condition() || info.mnemonic == ZYDIS_MNEMONIC_JMP ||
                info.mnemonic == ZYDIS_MNEMONIC_CALL || info.mnemonic == ZYDIS_MNEMONIC_RET);
    }

    // Of a near branch: whether its target is written out.
    [[nodiscard]] bool holds_target() const {
        return info.mnemonic != ZYDIS_MNEMONIC_RET && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    }

    // Of RET: bytes that it takes from the stack behind the return address.
    [[nodiscard]] std::uint64_t released() const {
        return operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? operands[0].imm.value.u : 0;
    }

    // JMP to an address that it holds itself.
    [[nodiscard]] bool direct_jump() const {
        return info.mnemonic == ZYDIS_MNEMONIC_JMP && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    }
};

} // namespace strata::cpu::translator
