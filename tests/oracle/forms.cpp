#include "forms.hpp"

#include "encoder.hpp"

#include <algorithm>
#include <map>

namespace strata::oracle {

namespace {

// Bytes of the one-byte map that are prefixes or lead to other maps. (REX prefixes, and the two-byte VEX
// prefixes, are such in 64-bit mode only; 0xC4, 0xC5, 0x62 and 0x8F are told apart by what the decoder makes
// of them.)
bool is_prefix_or_escape(std::uint8_t byte, bool code64) {
    switch (byte) {
    case 0x0F:
    case 0x26:
    case 0x2E:
    case 0x36:
    case 0x3E:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xF0:
    case 0xF2:
    case 0xF3: return true;
    default: return code64 && (byte & 0xF0) == 0x40;
    }
}

bool is_escape_0f(std::uint8_t byte) { return byte == 0x0F || byte == 0x38 || byte == 0x3A; }

// Opcodes where ModRM.rm selects the instruction: x87, and groups 7 and 15.
bool rm_extends_opcode(const Encoding& encoding) {
    return (encoding.map == OpcodeMap::one_byte && (encoding.opcode & 0xF8) == 0xD8) ||
           (encoding.map == OpcodeMap::escape_0f &&
            (encoding.opcode == 0x01 || encoding.opcode == 0xAE || encoding.opcode == 0x1E));
}

class Enumeration {
public:
    Enumeration(const Disassembler& disassembler, const cpu::x86::Model& host, const cpu::x86::Model& model)
        : disassembler_(disassembler), host_(host), model_(model) {}

    std::vector<Form> run() {
        legacy_maps();
        vex_maps();
        three_d_now();
        std::vector<Form> forms;
        for (auto& [name, form] : forms_) {
            forms.push_back(std::move(form));
        }
        return forms;
    }

private:
    void legacy_maps() {
        const bool code64 = disassembler_.width() == 64;
        for (const auto map :
             {OpcodeMap::one_byte, OpcodeMap::escape_0f, OpcodeMap::escape_0f38, OpcodeMap::escape_0f3a}) {
            for (unsigned opcode = 0; opcode < 256; ++opcode) {
                const auto byte = static_cast<std::uint8_t>(opcode);
                if ((map == OpcodeMap::one_byte && is_prefix_or_escape(byte, code64)) ||
                    (map == OpcodeMap::escape_0f && is_escape_0f(byte))) {
                    continue;
                }
                for (const auto repeat : std::to_array<std::uint8_t>({0, 0xF3, 0xF2})) {
                    for (const bool operand_size : {false, true}) {
                        for (unsigned w = 0; w < (code64 ? 2U : 1U); ++w) {
                            Encoding encoding{.map = map, .opcode = byte, .w = w != 0};
                            encoding.operand_size = operand_size;
                            encoding.repeat = repeat;
                            all_operands(encoding);
                        }
                    }
                }
            }
        }
    }

    void vex_maps() {
        struct Prefix {
            bool operand_size;
            std::uint8_t repeat;
        };

        for (const auto map : {OpcodeMap::escape_0f, OpcodeMap::escape_0f38, OpcodeMap::escape_0f3a}) {
            for (unsigned opcode = 0; opcode < 256; ++opcode) {
                for (const Prefix prefix : {Prefix{false, 0}, {true, 0}, {false, 0xF3}, {false, 0xF2}}) {
                    for (unsigned bits = 0; bits < 4; ++bits) {
                        Encoding encoding{
                            .map = map, .opcode = static_cast<std::uint8_t>(opcode), .vex = true};
                        encoding.wide = (bits & 1) != 0;
                        encoding.w = (bits & 2) != 0;
                        encoding.operand_size = prefix.operand_size;
                        encoding.repeat = prefix.repeat;
                        all_operands(encoding);
                    }
                }
            }
        }
    }

    void three_d_now() {
        for (unsigned suffix = 0; suffix < 256; ++suffix) {
            all_operands({.map = OpcodeMap::three_d_now, .opcode = static_cast<std::uint8_t>(suffix)});
        }
    }

    void all_operands(Encoding encoding) {
        encoding.has_modrm = false;
        if (Decoded decoded;
            decode(encoding, decoded) && !(decoded.info.attributes & ZYDIS_ATTRIB_HAS_MODRM)) {
            add(encoding, decoded);
            return;
        }
        encoding.has_modrm = true;
        encoding.fixed_rm = rm_extends_opcode(encoding);
        for (unsigned reg = 0; reg < 8; ++reg) {
            encoding.reg = static_cast<std::uint8_t>(reg);
            encoding.memory = true;
            encoding.rm = 0;
            try_encoding(encoding);
            encoding.memory = false;
            for (unsigned rm = 0; rm < (encoding.fixed_rm ? 8U : 1U); ++rm) {
                encoding.rm = static_cast<std::uint8_t>(rm);
                try_encoding(encoding);
            }
        }
    }

    void try_encoding(const Encoding& encoding) {
        if (Decoded decoded;
            decode(encoding, decoded) && (decoded.info.attributes & ZYDIS_ATTRIB_HAS_MODRM)) {
            add(encoding, decoded);
        }
    }

    bool decode(const Encoding& encoding, Decoded& decoded) const {
        const CodeBytes bytes = encode_plainly(encoding, disassembler_.width());
        if (!disassembler_.decode(bytes.span(), decoded)) {
            return false;
        }
        const auto kind = decoded.info.encoding;
        return encoding.vex                             ? kind == ZYDIS_INSTRUCTION_ENCODING_VEX
               : encoding.map == OpcodeMap::three_d_now ? kind == ZYDIS_INSTRUCTION_ENCODING_3DNOW
                                                        : kind == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    }

    void add(const Encoding& encoding, const Decoded& decoded) {
        const std::string_view skipped = reason_to_skip(decoded.info, host_, model_);
        std::string name = form_name(decoded);
        Form& form = forms_[name];
        if (form.encodings.empty()) {
            form.name = std::move(name);
            form.mnemonic = decoded.info.mnemonic;
            form.skipped = skipped;
        }
        form.encodings.push_back(encoding);
    }

    const Disassembler& disassembler_;
    const cpu::x86::Model& host_;
    const cpu::x86::Model& model_;
    std::map<std::string, Form> forms_;
};

} // namespace

std::vector<Form> enumerate_forms(const Disassembler& disassembler, const cpu::x86::Model& host,
                                  const cpu::x86::Model& model) {
    return Enumeration(disassembler, host, model).run();
}

} // namespace strata::oracle
