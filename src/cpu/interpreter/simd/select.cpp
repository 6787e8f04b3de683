// The conditions under which vector instructions are invalid or unavailable. SDM volume 2A section 2.4.
#include "cpu/interpreter/simd/select.hpp"

#include <algorithm>
#include <span>

namespace strata::cpu::interpreter::simd {
namespace {

void raise_invalid_opcode(Cpu& cpu, const Insn&) { cpu.raise_ud(); }

void raise_not_available(Cpu& cpu, const Insn&) { cpu.raise(x86::Vector::device_not_available); }

bool is_vector_encoding(const ZydisDecodedInstruction& info) {
    return info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ||
           (info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
            info.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT); // MOVSD and CMPSD are string instructions too
}

} // namespace

Handler select_form(const Decoded& decoded, Insn& insn, Handler narrow, Handler wide) {
    if (!is_vector_encoding(decoded.info) || uses_mmx(decoded)) {
        return nullptr;
    }
    if (!insn.vex) {
        insn.vvvv = insn.reg;
    }
    Handler handler = insn.wide ? wide : narrow;
    if (handler == nullptr) {
        return nullptr;
    }
    switch (insn.vex ? decoded.avx : decoded.sse) {
    case Availability::available: return handler;
    case Availability::invalid_opcode: return &raise_invalid_opcode;
    case Availability::device_not_available: return &raise_not_available;
    }
    return nullptr;
}

bool refuses(Handler handler) { return handler == &raise_invalid_opcode || handler == &raise_not_available; }

bool uses_mmx(const Decoded& decoded) {
    return std::ranges::any_of(std::span(decoded.operands, decoded.info.operand_count),
                               [](const auto& operand) {
                                   return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                                          ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_MMX;
                               });
}

bool destination_is_rm(const Decoded& decoded) {
    return decoded.operands[0].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
}

} // namespace strata::cpu::interpreter::simd
