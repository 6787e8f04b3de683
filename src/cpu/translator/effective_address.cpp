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

bool addressable(const ZydisDecodedInstruction& info, const ZydisDecodedOperand& operand) {
    const bool plain = operand.mem.type == ZYDIS_MEMOP_TYPE_MEM;
    return plain && operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM && info.address_width == 64 &&
           operand.size >= 8 && operand.size <= 256;
}

EffectiveAddress address_of(const ZydisDecodedOperand& operand, std::uint64_t next_rip) {
    EffectiveAddress address;
    const auto& memory = operand.mem;
    address.displacement = memory.disp.has_displacement ? memory.disp.value : 0;
    if (memory.base == ZYDIS_REGISTER_RIP) {
        address.displacement += static_cast<std::int64_t>(next_rip);
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
    return address;
}

const ZydisDecodedOperand* memory_operand(const Decoded& decoded) {
    for (const ZydisDecodedOperand& operand : decoded.visible()) {
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            return &operand;
        }
    }
    return nullptr;
}

EffectiveAddress on_stack(std::int64_t displacement) {
    return {.base = x86::rsp, .displacement = displacement};
}

} // namespace strata::cpu::translator
