#include "cpu/translator/effective_address.hpp"

#include "cpu/x86/state.hpp"

namespace strata::cpu::translator {

bool is_general(ZydisRegister name) {
    const ZydisRegisterClass kind = ZydisRegisterGetClass(name);
    return kind == ZYDIS_REGCLASS_GPR8 || kind == ZYDIS_REGCLASS_GPR16 || kind == ZYDIS_REGCLASS_GPR32 ||
           kind == ZYDIS_REGCLASS_GPR64;
}

unsigned number_of(ZydisRegister name) {
    const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, name);
    return static_cast<unsigned>(ZydisRegisterGetId(whole));
}

bool is_word(const Decoded& decoded, const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) ==
               (decoded.narrow() ? ZYDIS_REGCLASS_GPR32 : ZYDIS_REGCLASS_GPR64);
}

bool addressable(const Decoded& decoded, const ZydisDecodedOperand& operand) {
    const bool written_out = operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
                             operand.encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64;
    // Flat segments differ in this alone.
    const bool faults = decoded.narrow() && operand.mem.segment == ZYDIS_REGISTER_CS && is_written(operand);
    return operand.mem.type == ZYDIS_MEMOP_TYPE_MEM && written_out && !faults &&
           decoded.info.address_width == decoded.word() * 8 && operand.size >= 8 && operand.size <= 256;
}

EffectiveAddress address_of(const Decoded& decoded, const ZydisDecodedOperand& operand,
                            std::uint64_t next_rip) {
    EffectiveAddress address{.narrow = decoded.narrow()};
    const auto& memory = operand.mem;
    address.displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    if (memory.base == ZYDIS_REGISTER_RIP) {
        address.displacement += static_cast<std::int64_t>(next_rip);
        address.from_rip = true;
    } else if (memory.base != ZYDIS_REGISTER_NONE) {
        address.base = static_cast<int>(number_of(memory.base));
    }
    if (memory.index != ZYDIS_REGISTER_NONE) {
        address.index = static_cast<int>(number_of(memory.index));
        address.scale = memory.scale;
    }
    if (memory.segment == ZYDIS_REGISTER_FS || memory.segment == ZYDIS_REGISTER_GS) {
        address.segment = ZydisRegisterGetId(memory.segment);
    }
    if (is_bit_string(decoded)) {
        address.bits = static_cast<int>(number_of(decoded.operands[1].reg.value));
        address.element = operand.size / 8U;
    }
    return address;
}

bool is_bit_string(const Decoded& decoded) {
    return tests_bits(decoded.info.mnemonic) && decoded.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
           decoded.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

const ZydisDecodedOperand* memory_operand(const Decoded& decoded) {
    for (const ZydisDecodedOperand& operand : decoded.visible()) {
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            return &operand;
        }
    }
    return nullptr;
}

bool copies_stack_pointer(const Decoded& decoded) {
    return decoded.narrow() && decoded.info.mnemonic == ZYDIS_MNEMONIC_MOV &&
           is_word(decoded, decoded.operands[0]) && is_word(decoded, decoded.operands[1]) &&
           number_of(decoded.operands[1].reg.value) == x86::rsp;
}

EffectiveAddress on_stack(bool narrow, std::int64_t displacement) {
    return {.base = x86::rsp, .displacement = displacement, .narrow = narrow};
}

} // namespace strata::cpu::translator
