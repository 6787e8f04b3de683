#include "transposition.hpp"

#include "base/bits.hpp"
#include "guest_tables.hpp"

#include <algorithm>
#include <cstring>

namespace strata::oracle {

namespace {

constexpr ZydisInstructionAttributes segment_prefixes =
    ZYDIS_ATTRIB_HAS_SEGMENT_CS | ZYDIS_ATTRIB_HAS_SEGMENT_SS | ZYDIS_ATTRIB_HAS_SEGMENT_DS |
    ZYDIS_ATTRIB_HAS_SEGMENT_ES | ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS;
constexpr ZydisInstructionAttributes essential_prefixes =
    ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;

ZydisRegister as_32_bits(ZydisRegister value) {
    const int number = general_register(value);
    return number < 0 ? ZYDIS_REGISTER_NONE
                      : ZydisRegisterEncode(ZYDIS_REGCLASS_GPR32, static_cast<ZyanU8>(number));
}

// An address register counts only if both processors see the same in it: a 16-bit one has nothing above.
bool is_plain(const TestCase& input, ZydisRegister value) {
    const int number = general_register(value);
    return number < 0 || input.registers.gpr[static_cast<std::size_t>(number)] <= 0xFFFF;
}

std::int64_t value_of(const TestCase& input, ZydisRegister value) {
    const int number = general_register(value);
    return number < 0 ? 0 : static_cast<std::int64_t>(input.registers.gpr[static_cast<std::size_t>(number)]);
}

// What 64-bit mode has more of, or looks up in the host's own tables.
bool differs_by_mode(const Decoded& decoded) {
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_FNSAVE: // holds the selector of the code, which is another one
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_LLDT:
    case ZYDIS_MNEMONIC_LTR: return true;
    default:
        return decoded.info.meta.category == ZYDIS_CATEGORY_XSAVE ||
               decoded.info.meta.category == ZYDIS_CATEGORY_XSAVEOPT ||
               decoded.info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
    }
}

// Far from the operand's address, perhaps: BT and its kin with a bit number in a register.
bool selects_bit_in_memory(const Decoded& decoded) {
    return decoded.info.meta.category == ZYDIS_CATEGORY_BITBYTE &&
           decoded.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

bool uses_gs(const ZydisEncoderRequest& request) {
    return (request.prefixes & ZYDIS_ATTRIB_HAS_SEGMENT_GS) != 0;
}

bool names_differ_by_mode(ZydisRegister value) {
    const auto kind = ZydisRegisterGetClass(value);
    return kind == ZYDIS_REGCLASS_FLAGS || kind == ZYDIS_REGCLASS_IP;
}

bool uses_segment_register(const Decoded& decoded) {
    return std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_POINTER ||
               (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_SEGMENT);
    });
}

// What no prefix of 64-bit code reaches: implied memory in segments that have a base, and 16-bit counts and
// addresses.
bool has_implied_operand(const Decoded& decoded, unsigned width) {
    const bool narrow_addresses = decoded.info.address_width == 16;
    return std::ranges::any_of(decoded.all(), [&](const ZydisDecodedOperand& operand) {
        const bool implied = operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
        switch (operand.type) {
        case ZYDIS_OPERAND_TYPE_MEMORY:
            return (implied && (width == 16 || narrow_addresses)) ||
                   (narrow_addresses && operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN);
        case ZYDIS_OPERAND_TYPE_REGISTER:
            return implied && narrow_addresses && operand.reg.value == ZYDIS_REGISTER_CX;
        default: return false;
        }
    });
}

} // namespace

// 64-bit code knows no limits, its addresses do not wrap at 4 GiB, and the code itself is another.
bool Transposition::reaches_the_same(const ZydisDecodedOperand& operand, unsigned address_width) const {
    const auto& mem = operand.mem;
    const std::uint64_t segment_end = bit(narrow_.width() == 16 ? 16 : 32);
    const auto known = [this](ZydisRegister reg) {
        const int number = general_register(reg);
        return number < 0 || !written_.has(static_cast<unsigned>(number));
    };
    const std::int64_t sum =
        value_of(*input_, mem.base) + value_of(*input_, mem.index) * mem.scale + mem.disp.value;
    const std::uint64_t begin = static_cast<std::uint64_t>(sum) & (bit(address_width) - 1);
    const std::uint64_t end = begin + operand.size / 8U;
    const bool wraps = mem.segment == ZYDIS_REGISTER_GS && end + gs_base > bit(32);
    const std::uint64_t code = input_->code_address - (narrow_.width() == 16              ? arena
                                                       : mem.segment == ZYDIS_REGISTER_GS ? gs_base
                                                                                          : 0);
    const bool is_code = begin < code + max_code && code < end + max_code;
    return known(mem.base) && known(mem.index) && end <= segment_end && !wraps && !is_code;
}

// String instructions, from registers that point there.
bool Transposition::may_read_code(const Decoded& decoded) const {
    return std::ranges::any_of(decoded.all(), [this](const ZydisDecodedOperand& operand) {
        const int number = operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
                                   operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT
                               ? general_register(operand.mem.base)
                               : -1;
        if (number < 0) {
            return false;
        }
        const std::uint64_t at = input_->registers.gpr[static_cast<std::size_t>(number)];
        return written_.has(static_cast<unsigned>(number)) || at - arena < data_begin - arena;
    });
}

bool Transposition::transpose_memory(const Planned& planned, const ZydisDecodedOperand& from,
                                     ZydisEncoderOperand& to, ZydisInstructionAttributes& prefixes) const {
    const auto& mem = from.mem;
    const bool wide_segments = narrow_.width() == 32; // flat, but for FS with its limit
    if (mem.segment == ZYDIS_REGISTER_CS || mem.segment == ZYDIS_REGISTER_FS ||
        (mem.segment == ZYDIS_REGISTER_GS && !wide_segments)) {
        return false;
    }
    prefixes &= ~segment_prefixes;
    if (!wide_segments) {
        prefixes |= ZYDIS_ATTRIB_HAS_SEGMENT_FS; // whose base is then the arena's
    } else if (mem.segment == ZYDIS_REGISTER_GS) {
        prefixes |= ZYDIS_ATTRIB_HAS_SEGMENT_GS;
    }
    if (mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        to.mem.base = as_32_bits(mem.base); // which says that addresses have 32 bits
        return mem.base != ZYDIS_REGISTER_NONE && planned.decoded.info.address_width == 32 &&
               mem.segment != ZYDIS_REGISTER_GS;
    }
    to.mem.base = as_32_bits(mem.base);
    to.mem.index = as_32_bits(mem.index);
    const unsigned address_width = planned.decoded.info.address_width;
    if (!reaches_the_same(from, address_width)) {
        return false;
    }
    if (address_width == 32) {
        return true;
    }
    if (!is_plain(*input_, mem.base) || !is_plain(*input_, mem.index)) {
        return false;
    }
    constexpr std::int64_t span = 0x1'0000;
    const std::int64_t registers = value_of(*input_, mem.base) + value_of(*input_, mem.index);
    const std::int64_t offset = (registers + mem.disp.value) & (span - 1);
    to.mem.displacement = offset - registers;
    to.mem.scale = mem.index == ZYDIS_REGISTER_NONE ? 0 : 1;
    return offset + from.size / 8 <= span;
}

bool Transposition::means_the_same(const Decoded& narrow, const Decoded& wide) const {
    if (narrow.info.mnemonic != wide.info.mnemonic || narrow.info.operand_count != wide.info.operand_count ||
        ((narrow.info.attributes ^ wide.info.attributes) & essential_prefixes) != 0 ||
        vendor_specific(wide.info)) {
        return false;
    }
    for (std::size_t i = 0; i < narrow.info.operand_count; ++i) {
        const auto &n = narrow.operands[i], &w = wide.operands[i];
        if (n.type != w.type) {
            return false;
        }
        switch (n.type) {
        case ZYDIS_OPERAND_TYPE_REGISTER:
            if (n.reg.value != w.reg.value && !names_differ_by_mode(n.reg.value)) {
                return false;
            }
            break;
        case ZYDIS_OPERAND_TYPE_MEMORY:
            if (n.size != w.size || as_32_bits(n.mem.base) != as_32_bits(w.mem.base)) {
                return false;
            }
            break;
        case ZYDIS_OPERAND_TYPE_IMMEDIATE:
            if (!n.imm.is_relative && n.imm.value.u != w.imm.value.u) {
                return false;
            }
            break;
        default: return false;
        }
    }
    return true;
}

// Linear; narrow code's offsets wrap.
std::uint64_t Transposition::branch_target(const Planned& planned) const {
    const auto& info = planned.decoded.info;
    const std::uint64_t segment = input_->code_address - input_->registers.rip;
    const std::uint64_t offset = planned.address - segment + info.length + info.raw.imm[0].value.u;
    return segment + (offset & (info.operand_width == 16 ? 0xFFFF : 0xFFFF'FFFF));
}

// The encoder takes no account of prefixes that a branch ignores.
bool Transposition::aim_branch(const Planned& planned, const Decoded& wide, std::uint64_t address,
                               std::span<std::uint8_t> code) const {
    const auto& immediate = wide.info.raw.imm[0];
    if (!immediate.is_relative) {
        return true;
    }
    const std::uint64_t distance = branch_target(planned) - (address + wide.info.length);
    const auto limit = static_cast<std::int64_t>(bit(immediate.size - 1U));
    const auto signed_distance = static_cast<std::int64_t>(distance);
    for (unsigned i = 0; i < immediate.size / 8U; ++i) {
        code[immediate.offset + i] = static_cast<std::uint8_t>(distance >> (8 * i));
    }
    return -limit <= signed_distance && signed_distance < limit;
}

void Transposition::note_writes(const Decoded& narrow) {
    for (const auto& operand : narrow.all()) {
        const int number =
            operand.type == ZYDIS_OPERAND_TYPE_REGISTER && (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
                ? general_register(operand.reg.value)
                : -1;
        if (number >= 0) {
            written_.add(static_cast<unsigned>(number));
        }
    }
}

bool Transposition::transpose_instruction(const Planned& planned, TestCase& wide) {
    const Decoded& narrow = planned.decoded;
    if (uses_segment_register(narrow) || has_implied_operand(narrow, narrow_.width()) ||
        differs_by_mode(narrow) || may_read_code(narrow)) {
        return false;
    }
    ZydisEncoderRequest request;
    if (ZYAN_FAILED(ZydisEncoderDecodedInstructionToEncoderRequest(
            &narrow.info, narrow.operands.data(), narrow.info.operand_count_visible, &request))) {
        return false;
    }
    request.machine_mode = ZYDIS_MACHINE_MODE_LONG_64;
    request.branch_width = ZYDIS_BRANCH_WIDTH_NONE;
    bool has_memory = false;
    for (std::size_t i = 0; i < request.operand_count; ++i) {
        const auto& from = narrow.operands[i];
        if (from.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            has_memory = true;
            if (!transpose_memory(planned, from, request.operands[i], request.prefixes)) {
                return false;
            }
        } else if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && from.imm.is_relative) {
            request.operands[i].imm.u = branch_target(planned);
        }
    }
    if (has_memory && selects_bit_in_memory(narrow) && (narrow_.width() == 16 || uses_gs(request))) {
        return false; // beyond the segment's end, or around it
    }
    if (!has_memory && (request.prefixes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_CS |
                                            ZYDIS_ATTRIB_HAS_SEGMENT_GS))) {
        return false; // an implied operand elsewhere
    }
    if (!has_memory && narrow_.width() == 32) {
        request.prefixes &= ~segment_prefixes;
    }
    const std::uint64_t address = wide.code_address + wide.code_size;
    ZyanUSize length = std::min<std::size_t>(ZYDIS_MAX_INSTRUCTION_LENGTH, max_code - wide.code_size);
    if (ZYAN_FAILED(ZydisEncoderEncodeInstructionAbsolute(&request, wide.code.data() + wide.code_size,
                                                          &length, address))) {
        return false;
    }
    const std::span code = std::span(wide.code).subspan(wide.code_size, length);
    Decoded decoded;
    if (!wide_.decode(code, decoded) || !means_the_same(narrow, decoded) ||
        !aim_branch(planned, decoded, address, code)) {
        return false;
    }
    note_writes(narrow);
    addresses_.emplace_back(planned.address, address);
    wide.code_size += static_cast<std::uint32_t>(length);
    return true;
}

std::optional<TestCase> Transposition::transpose(const GeneratedCase& generated) {
    const TestCase& input = generated.input;
    if (input.code_address + 2 * max_code > code_begin + page) {
        return std::nullopt; // code in a page whose contents are compared, or reaching one
    }
    input_ = &input;
    TestCase wide = input;
    wide.code.fill(code_filler);
    wide.code_size = 0;
    wide.registers.rip = wide.code_address;
    wide.registers.selectors = {flat_data, flat_code64, flat_data, flat_data, 0, 0};
    wide.fs_base = narrow_.width() == 32 ? fs_base : arena;
    addresses_.clear();
    written_ = {};
    for (const Planned& planned : generated.instructions) {
        if (!transpose_instruction(planned, wide)) {
            return std::nullopt;
        }
    }
    addresses_.emplace_back(input.code_address + input.code_size, wide.code_address + wide.code_size);
    return wide;
}

Outcome Transposition::restore(const GeneratedCase& generated, const Outcome& native) const {
    const TestCase& input = generated.input;
    Outcome outcome = native;
    std::uint64_t linear = native.registers.rip;
    for (const auto& [narrow, wide] : addresses_) {
        constexpr std::uint64_t int3_length = 1;
        if (native.registers.rip == wide) {
            linear = narrow;
        } else if (native.registers.rip == addresses_.back().second + int3_length) {
            linear = addresses_.back().first + int3_length;
        }
    }
    outcome.registers.rip = linear - (input.code_address - input.registers.rip);
    outcome.registers.selectors = input.registers.selectors;
    return outcome;
}

} // namespace strata::oracle
