#include "vector_forms.hpp"

#include <algorithm>
#include <span>

namespace strata::cpu::testing {
namespace {

constexpr unsigned rdi = 7, sib_follows = 4;

struct Operands {
    unsigned reg, rm, vvvv, index;
    std::uint8_t immediate;
    std::int32_t displacement;
};

void append_address(const VectorForm& form, const Operands& operands, std::vector<std::uint8_t>& bytes) {
    const auto reg = static_cast<std::uint8_t>((operands.reg & 7) << 3);
    if (!form.memory) {
        bytes.push_back(static_cast<std::uint8_t>(0xC0 | reg | (operands.rm & 7)));
        return;
    }
    if (form.gather) {
        constexpr std::uint8_t times_4 = 0x80;
        bytes.push_back(static_cast<std::uint8_t>(0x80 | reg | sib_follows));
        bytes.push_back(static_cast<std::uint8_t>(times_4 | (operands.index & 7) << 3 | rdi));
    } else {
        bytes.push_back(static_cast<std::uint8_t>(0x80 | reg | rdi));
    }
    for (unsigned shift = 0; shift < 32; shift += 8) {
        bytes.push_back(static_cast<std::uint8_t>(operands.displacement >> shift));
    }
}

std::vector<std::uint8_t> assemble(const VectorForm& form, const Operands& operands) {
    std::vector<std::uint8_t> bytes;
    const bool r = operands.reg & 8, b = !form.memory && (operands.rm & 8),
               x = form.gather && (operands.index & 8);
    if (form.vex) {
        bytes.push_back(0xC4);
        bytes.push_back(
            static_cast<std::uint8_t>((r ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | form.map));
        bytes.push_back(static_cast<std::uint8_t>((form.w ? 0x80 : 0) | (~operands.vvvv & 0xF) << 3 |
                                                  (form.l ? 4 : 0) | form.prefix));
    } else {
        if (form.prefix != 0) {
            bytes.push_back(form.prefix);
        }
        bytes.push_back(static_cast<std::uint8_t>(0x40 | (form.w ? 8 : 0) | (r ? 4 : 0) | (b ? 1 : 0)));
        bytes.push_back(0x0F);
        if (form.map > 1) {
            bytes.push_back(form.map == 2 ? 0x38 : 0x3A);
        }
    }
    bytes.push_back(form.opcode);
    append_address(form, operands, bytes);
    bytes.push_back(operands.immediate); // dropped where the length says so
    bytes.push_back(operands.immediate);
    return bytes;
}

bool decode(std::vector<std::uint8_t>& bytes, ZydisDecodedInstruction& info,
            std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT>& operands) {
    static const ZydisDecoder decoder = [] {
        ZydisDecoder made;
        ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        return made;
    }();
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &info, operands.data()))) {
        return false;
    }
    bytes.resize(info.length);
    return true;
}

// Fills in what decoding tells of a form; false if there is no such instruction.
bool complete(VectorForm& form, bool (*wanted)(const ZydisDecodedInstruction&)) {
    ZydisDecodedInstruction info;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    for (const bool gather : {false, true}) {
        for (const unsigned vvvv : {0U, 3U}) {
            form.gather = gather;
            auto bytes = assemble(form, {form.extension, 2, vvvv, 4, 0, 0});
            if ((gather && !form.memory) || !decode(bytes, info, operands) || !wanted(info)) {
                continue;
            }
            const std::span used(operands.data(), info.operand_count);
            if (gather && std::ranges::none_of(used, [](const auto& operand) {
                    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
                           operand.mem.type == ZYDIS_MEMOP_TYPE_VSIB;
                })) {
                continue;
            }
            form.mnemonic = info.mnemonic;
            form.set = info.meta.isa_set;
            form.reg_is_extension = std::ranges::none_of(used, [](const auto& operand) {
                return operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG;
            });
            return true;
        }
    }
    return false;
}

} // namespace

std::vector<VectorForm> vector_forms(bool (*wanted)(const ZydisDecodedInstruction&)) {
    constexpr std::array<std::uint8_t, 4> prefixes{0, 0x66, 0xF3, 0xF2};
    std::vector<VectorForm> forms;
    for (unsigned choice = 0; choice < 2 * 4 * 3 * 2 * 2 * 2; ++choice) {
        VectorForm form{};
        form.vex = choice & 1;
        form.w = choice & 2;
        form.l = choice & 4;
        form.memory = choice & 8;
        const unsigned prefix = choice / 16 % 4;
        form.prefix = form.vex ? static_cast<std::uint8_t>(prefix) : prefixes[prefix];
        form.map = static_cast<std::uint8_t>(1 + choice / 64);
        if (!form.vex && form.l) {
            continue;
        }
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            if (!form.vex && form.map == 1 && (opcode == 0x38 || opcode == 0x3A)) {
                continue; // the other maps
            }
            for (unsigned extension = 0; extension < 8; ++extension) {
                form.opcode = static_cast<std::uint8_t>(opcode);
                form.extension = static_cast<std::uint8_t>(extension);
                if (complete(form, wanted)) {
                    forms.push_back(form);
                    if (!form.reg_is_extension) {
                        break;
                    }
                }
            }
        }
    }
    return forms;
}

Encoded encode(const VectorForm& form, std::mt19937_64& random, std::int32_t displacement) {
    constexpr unsigned rsp = 4;
    const auto register_number = [&] { // any but RSP and RDI, which general registers may not be
        for (;;) {
            const auto number = static_cast<unsigned>(random() % 16);
            if (number != rsp && number != rdi) {
                return number;
            }
        }
    };
    Operands operands{register_number(),
                      register_number(),
                      register_number(),
                      register_number(),
                      static_cast<std::uint8_t>(random()),
                      displacement};
    if (form.reg_is_extension) {
        operands.reg = form.extension;
    }
    ZydisDecodedInstruction info;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> decoded;
    for (const unsigned vvvv : {operands.vvvv, 0U}) { // 0 encodes as 1111, which unused means
        operands.vvvv = vvvv;
        auto bytes = assemble(form, operands);
        if (decode(bytes, info, decoded) && info.mnemonic == form.mnemonic) {
            return {bytes, operands.index};
        }
    }
    return {};
}

} // namespace strata::cpu::testing
