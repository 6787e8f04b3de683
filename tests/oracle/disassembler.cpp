#include "forms.hpp"

#include <algorithm>

namespace strata::oracle {

Disassembler::Disassembler(unsigned width) : width_(width) {
    const auto mode = width == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                      : width == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
                                    : ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
    const auto stack = width == 64   ? ZYDIS_STACK_WIDTH_64
                       : width == 32 ? ZYDIS_STACK_WIDTH_32
                                     : ZYDIS_STACK_WIDTH_16;
    ZydisDecoderInit(&decoder_, mode, stack);
    if (host_vendor() == "AuthenticAMD") {
        ZydisDecoderEnableMode(&decoder_, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
    }
    ZydisFormatterInit(&formatter_, ZYDIS_FORMATTER_STYLE_INTEL);
}

namespace {

// Zydis 4.0 takes R13D for the base where REX.B extends a SIB byte that has none, if addresses are of 32
// bits.
void take_away_false_base(Decoded& decoded) {
    const auto& info = decoded.info;
    if (info.raw.modrm.mod != 0 || info.raw.modrm.rm != 4 || info.raw.sib.base != 5 ||
        info.address_width != 32) {
        return;
    }
    for (ZydisDecodedOperand& operand : decoded.operands) {
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
            operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM && operand.mem.base == ZYDIS_REGISTER_R13D) {
            operand.mem.base = ZYDIS_REGISTER_NONE;
            operand.mem.disp.has_displacement = ZYAN_TRUE;
            operand.mem.disp.value = info.raw.disp.value;
        }
    }
}

} // namespace

bool Disassembler::decode(std::span<const std::uint8_t> bytes, Decoded& decoded) const {
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder_, bytes.data(), bytes.size(), &decoded.info,
                                           decoded.operands.data()))) {
        return false;
    }
    take_away_false_base(decoded);
    return true;
}

std::string Disassembler::format(std::span<const std::uint8_t> bytes, std::uint64_t address) const {
    Decoded decoded;
    if (!decode(bytes, decoded)) {
        return "(undefined)";
    }
    std::array<char, 256> text;
    ZydisFormatterFormatInstruction(&formatter_, &decoded.info, decoded.operands.data(),
                                    decoded.info.operand_count_visible, text.data(), text.size(), address,
                                    nullptr);
    return text.data();
}

namespace {

std::string register_kind(const ZydisDecodedOperand& operand) {
    const ZydisRegister value = operand.reg.value;
    switch (ZydisRegisterGetClass(value)) {
    case ZYDIS_REGCLASS_X87: return "st";
    case ZYDIS_REGCLASS_MMX: return "mm";
    case ZYDIS_REGCLASS_XMM: return "xmm";
    case ZYDIS_REGCLASS_YMM: return "ymm";
    case ZYDIS_REGCLASS_SEGMENT: return "sreg";
    case ZYDIS_REGCLASS_CONTROL: return "cr";
    case ZYDIS_REGCLASS_DEBUG: return "dr";
    default: return "r" + std::to_string(operand.size);
    }
}

std::string operand_kind(const ZydisDecodedOperand& operand) {
    switch (operand.type) {
    case ZYDIS_OPERAND_TYPE_REGISTER: return register_kind(operand);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return (operand.mem.type == ZYDIS_MEMOP_TYPE_VSIB ? "vm" : "m") +
               (operand.size == 0 ? std::string{} : std::to_string(operand.size));
    case ZYDIS_OPERAND_TYPE_POINTER: return "far";
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return (operand.imm.is_relative ? "rel" : "imm") + std::to_string(operand.size);
    default: return "?";
    }
}

} // namespace

std::string form_name(const Decoded& decoded) {
    const auto& info = decoded.info;
    std::string name;
    if (info.attributes & ZYDIS_ATTRIB_HAS_REP) {
        name = "rep ";
    } else if (info.attributes & ZYDIS_ATTRIB_HAS_REPE) {
        name = "repe ";
    } else if (info.attributes & ZYDIS_ATTRIB_HAS_REPNE) {
        name = "repne ";
    }
    name += ZydisMnemonicGetString(info.mnemonic);
    std::string_view separator = " ";
    for (const auto& operand : decoded.all().first(info.operand_count_visible)) {
        name.append(separator).append(operand_kind(operand));
        separator = ", ";
    }
    if (info.operand_count_visible == 0 && info.operand_width != 0 && info.operand_width != 8) {
        name +=
            " (" + std::to_string(info.operand_width) + ")"; // PUSHF, CBW's kin: the size is in no operand
    }
    return name;
}

} // namespace strata::oracle
