#include "cpu/interpreter/decoder.hpp"

#include "base/bytes.hpp"
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/simd/select.hpp"
#include "cpu/x86/isa_features.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

namespace strata::cpu::interpreter {

void undefined(Cpu& cpu, const Insn&) { cpu.raise_ud(); }

namespace {

// All rows by mnemonic.
class RowTable {
public:
    // By counting: rows of one mnemonic stay in the order of their groups.
    RowTable() {
        for_each_row([this](const Row& row) { ++starts_[static_cast<std::size_t>(row.mnemonic) + 1]; });
        std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
        rows_.resize(starts_.back());
        auto next = starts_;
        for_each_row([&](const Row& row) { rows_[next[static_cast<std::size_t>(row.mnemonic)]++] = row; });
    }

    [[nodiscard]] std::span<const Row> of(ZydisMnemonic mnemonic) const {
        const auto number = static_cast<std::size_t>(mnemonic);
        return std::span(rows_).subspan(starts_[number], starts_[number + 1] - starts_[number]);
    }

private:
    template <class Use>
    static void for_each_row(Use use) {
        for (const Rows& group : instruction_groups()) {
            std::ranges::for_each(group, use);
        }
    }

    std::vector<Row> rows_;
    std::array<std::size_t, ZYDIS_MNEMONIC_MAX_VALUE + 2> starts_{};
};

const RowTable& row_table() {
    static const RowTable table;
    return table;
}

// The number by which handlers know a register: see Cpu::reg for bytes; others count from 0 in their class.
std::uint8_t register_number(ZydisRegister name) {
    if (name >= ZYDIS_REGISTER_AH && name <= ZYDIS_REGISTER_BH) {
        return static_cast<std::uint8_t>(32 + (name - ZYDIS_REGISTER_AH));
    }
    if (name >= ZYDIS_REGISTER_SPL && name <= ZYDIS_REGISTER_DIL) {
        return static_cast<std::uint8_t>(x86::rsp + (name - ZYDIS_REGISTER_SPL));
    }
    if (name >= ZYDIS_REGISTER_R8B && name <= ZYDIS_REGISTER_R15B) {
        return static_cast<std::uint8_t>(x86::r8 + (name - ZYDIS_REGISTER_R8B));
    }
    return static_cast<std::uint8_t>(ZydisRegisterGetId(name));
}

std::uint8_t address_register(ZydisRegister name) {
    switch (ZydisRegisterGetClass(name)) {
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: return static_cast<std::uint8_t>(ZydisRegisterGetId(name));
    case ZYDIS_REGCLASS_IP: return rip_slot;
    default: return zero_slot; // none, or a vector of indices
    }
}

std::uint8_t segment_number(ZydisRegister name) {
    return name == ZYDIS_REGISTER_NONE ? std::uint8_t{x86::ds}
                                       : static_cast<std::uint8_t>(ZydisRegisterGetId(name));
}

// 8, 16, 32, 64 bits as 0 to 3.
unsigned width_code(unsigned width) { return width >= 64 ? 3 : width >= 32 ? 2 : width >= 16 ? 1 : 0; }

bool is_immediate_encoding(ZydisOperandEncoding encoding) {
    return encoding >= ZYDIS_OPERAND_ENCODING_UIMM8 && encoding <= ZYDIS_OPERAND_ENCODING_JIMM16_32_32;
}

void take_register(const ZydisDecodedOperand& operand, Insn& insn) {
    const std::uint8_t number = register_number(operand.reg.value);
    switch (operand.encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
    case ZYDIS_OPERAND_ENCODING_OPCODE: insn.reg = number; break;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM: insn.rm = number; break;
    case ZYDIS_OPERAND_ENCODING_NDSNDD: insn.vvvv = number; break;
    case ZYDIS_OPERAND_ENCODING_IS4: insn.extra = number; break;
    default: break; // implied by the opcode
    }
}

// Zydis 4.0 takes R13D for the base where REX.B extends a SIB byte that has none, if addresses are of 32
// bits.
bool has_no_base(const ZydisDecodedInstruction& info) {
    return info.raw.modrm.mod == 0 && info.raw.modrm.rm == 4 && info.raw.sib.base == 5 &&
           info.address_width != 16;
}

void take_memory(const ZydisDecodedInstruction& info, const ZydisDecodedOperand& operand, Insn& insn) {
    insn.memory = true;
    insn.segment = segment_number(operand.mem.segment) & 7;
    insn.base = address_register(operand.mem.base);
    insn.index = address_register(operand.mem.index);
    insn.scale = operand.mem.scale <= 1 ? 0 : operand.mem.scale == 2 ? 1 : operand.mem.scale == 4 ? 2 : 3;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
        insn.disp = static_cast<std::int32_t>(operand.mem.disp.value);
        if (has_no_base(info)) {
            insn.base = zero_slot;
            insn.disp = static_cast<std::int32_t>(info.raw.disp.value);
        }
    } else {
        // MOV's absolute offset has as many bits as addresses; the decoder has sign-extended it.
        const unsigned address_bits = 8U << insn.address_size;
        insn.imm =
            static_cast<std::uint64_t>(operand.mem.disp.value) & (~std::uint64_t{0} >> (64 - address_bits));
    }
}

bool is_destination_index(ZydisRegister name) {
    return name == ZYDIS_REGISTER_DI || name == ZYDIS_REGISTER_EDI || name == ZYDIS_REGISTER_RDI;
}

// An operand that the opcode implies, as in string instructions. Of two, the one at ES:rDI takes no prefix.
void take_implied_memory(const ZydisDecodedOperand& operand, bool& chosen, Insn& insn) {
    const bool fixed = is_destination_index(operand.mem.base);
    if (!insn.memory && !(fixed && chosen)) {
        insn.segment = segment_number(operand.mem.segment) & 7;
        chosen = true;
    }
}

void take_immediate(const ZydisDecodedOperand& operand, bool first, Insn& insn) {
    if (first) {
        insn.imm = operand.imm.value.u;
    } else {
        insn.extra = static_cast<std::uint8_t>(operand.imm.value.u);
    }
}

void take_operands(const Decoded& decoded, Insn& insn) {
    bool first_immediate = true, implied_memory = false;
    for (unsigned i = 0; i < decoded.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = decoded.operands[i];
        switch (operand.type) {
        case ZYDIS_OPERAND_TYPE_REGISTER: take_register(operand, insn); break;
        case ZYDIS_OPERAND_TYPE_MEMORY:
            if (operand.encoding == ZYDIS_OPERAND_ENCODING_NONE) {
                take_implied_memory(operand, implied_memory, insn);
            } else {
                take_memory(decoded.info, operand, insn);
            }
            break;
        case ZYDIS_OPERAND_TYPE_POINTER:
            insn.imm = std::uint64_t{operand.ptr.segment} << 32 | operand.ptr.offset;
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            if (is_immediate_encoding(operand.encoding)) {
                take_immediate(operand, first_immediate, insn);
                first_immediate = false;
            }
            break;
        default: break;
        }
    }
}

// The last repeat prefix counts.
std::uint8_t repeat_prefix(const ZydisDecodedInstruction& info) {
    std::uint8_t rep = 0;
    for (unsigned i = 0; i < info.raw.prefix_count; ++i) {
        const unsigned prefix = info.raw.prefixes[i].value;
        rep = prefix == 0xF3 ? 1 : prefix == 0xF2 ? 2 : rep;
    }
    return rep;
}

Insn predecode(const Decoded& decoded) {
    const ZydisDecodedInstruction& info = decoded.info;
    Insn insn;
    insn.length = info.length;
    insn.operand_size = width_code(info.operand_width) & 3;
    insn.address_size = width_code(info.address_width) & 3;
    insn.lock = info.attributes & ZYDIS_ATTRIB_HAS_LOCK;
    insn.rep = repeat_prefix(info) & 3;
    insn.vex = info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    insn.wide = insn.vex && info.avx.vector_length == 256;
    take_operands(decoded, insn);
    insn.flat = decoded.long_mode && insn.address_size == 3 && insn.segment < x86::fs;
    return insn;
}

bool transfers_control(const ZydisDecodedInstruction& info) {
    switch (info.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SMAP: // what follows has other rights
    case ZYDIS_CATEGORY_SYSTEM: return true;
    default: return false;
    }
}

Handler select_handler(const x86::Model& model, const Decoded& decoded, Insn& insn) {
    const bool vex = decoded.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    if (!x86::has_instruction(model, decoded.info) || (vex && decoded.real_or_v86)) {
        return nullptr;
    }
    for (const Row& row : row_table().of(decoded.info.mnemonic)) {
        Insn adjusted = insn;
        if (const Handler handler = row.select(decoded, adjusted)) {
            insn = adjusted;
            return handler;
        }
    }
    return nullptr;
}

void check(ZyanStatus status) {
    if (ZYAN_FAILED(status)) {
        std::abort(); // a decoder mode that this build of Zydis lacks
    }
}

ZydisDecoder make_decoder(const x86::Model& model, CodeMode::Size size) {
    static constexpr std::array<std::pair<ZydisMachineMode, ZydisStackWidth>, 3> modes{{
        {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
        {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
        {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
    }};
    const auto [machine, stack] = modes[static_cast<std::size_t>(size)];
    ZydisDecoder decoder;
    check(ZydisDecoderInit(&decoder, machine, stack));
    // What a processor without these extensions takes as an older instruction or as a NOP.
    check(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE));
    check(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE));
    check(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE));
    check(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_LZCNT, model.has(x86::Feature::abm)));
    check(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_TZCNT, model.has(x86::Feature::bmi1)));
    check(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, model.is_amd()));
    return decoder;
}

// MOV of a constant of 32 or 64 bits to a register, where the constant is and its size in bytes: programs
// that write code write it with another one each time. Size 0: it is something else.
struct ConstantMove {
    std::size_t at = 0, size = 0;
};

ConstantMove constant_move(const CodeMode& mode, std::span<const std::uint8_t> bytes) {
    const bool bits64 = mode.size == CodeMode::Size::bits64;
    const bool rex = bits64 && bytes.size() > 1 && (bytes[0] & 0xF0) == 0x40;
    const std::size_t opcode = rex ? 1 : 0;
    if (mode.size == CodeMode::Size::bits16 || bytes.empty() || (bytes[opcode] & 0xF8) != 0xB8) {
        return {};
    }
    const std::size_t size = rex && (bytes[0] & 8) != 0 ? 8 : 4;
    return bytes.size() < opcode + 1 + size ? ConstantMove{} : ConstantMove{opcode + 1, size};
}

// Of a mode, what decoding depends on: a number of a byte.
unsigned decoding_key(CodeMode mode) {
    mode.user = false;
    mode.data = DataView::supervisor;
    return mode.key();
}

Decoder::Result undefined_instruction() {
    Decoder::Result result;
    result.insn.handler = undefined;
    result.insn.length = 1;
    result.ends_block = true;
    result.refused = true;
    return result;
}

} // namespace

Decoder::Decoder(const x86::Model& model) : model_(model) {
    for (const auto size : {CodeMode::Size::bits16, CodeMode::Size::bits32, CodeMode::Size::bits64}) {
        decoders_[static_cast<std::size_t>(size)] = make_decoder(model, size);
    }
}

Decoder::Result Decoder::decode(const CodeMode& mode, std::span<const std::uint8_t> bytes) {
    const ConstantMove move = constant_move(mode, bytes);
    if (move.size == 0) {
        return decode_known(mode, bytes);
    }
    std::array<std::uint8_t, max_instruction_length> of_zero{};
    std::copy_n(bytes.begin(), move.at, of_zero.begin());
    Result result = decode_known(mode, std::span(of_zero).first(move.at + move.size));
    result.insn.imm = move.size == 8 ? load_le<std::uint64_t>(bytes.data() + move.at)
                                     : load_le<std::uint32_t>(bytes.data() + move.at);
    return result;
}

Decoder::Result Decoder::decode_known(const CodeMode& mode, std::span<const std::uint8_t> bytes) {
    const unsigned key = decoding_key(mode);
    if (const Result* known = known_.find(key, bytes)) {
        return *known;
    }
    const Result result = decode_anew(mode, bytes);
    if (result.status == Status::ok && result.insn.handler != undefined) {
        known_.add(key, bytes, result.insn.length, result);
    }
    return result;
}

Decoder::Result Decoder::decode_anew(const CodeMode& mode, std::span<const std::uint8_t> bytes) const {
    ZydisDecodedInstruction info;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    const ZyanStatus status = ZydisDecoderDecodeFull(&decoders_[static_cast<std::size_t>(mode.size)],
                                                     bytes.data(), bytes.size(), &info, operands.data());
    if (status == ZYDIS_STATUS_NO_MORE_DATA) {
        return {.status = Status::truncated};
    }
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) {
        return {.status = Status::too_long};
    }
    if (ZYAN_FAILED(status)) {
        return undefined_instruction();
    }
    const Decoded decoded{
        info,     operands.data(), bytes.data(), mode.size == CodeMode::Size::bits64, mode.real_or_v86,
        mode.sse, mode.avx};
    Result result;
    result.insn = predecode(decoded);
    result.insn.handler = select_handler(model_, decoded, result.insn);
    if (result.insn.handler == nullptr) {
        return undefined_instruction();
    }
    result.ends_block = transfers_control(info);
    result.refused = simd::refuses(result.insn.handler);
    return result;
}

} // namespace strata::cpu::interpreter
