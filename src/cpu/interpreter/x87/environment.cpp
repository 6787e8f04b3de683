// The x87 environment and the whole x87 state in memory: FNSTENV, FLDENV, FNSAVE, FRSTOR, in the four formats
// that operand size and mode make. SDM volume 1 section 8.1.10.
#include "base/bytes.hpp"
#include "cpu/interpreter/memory_block.hpp"
#include "cpu/interpreter/x87/groups.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

#include <array>

namespace strata::cpu::interpreter::x87 {

namespace {

// The environment as seven fields of one Word: uint16_t or uint32_t by operand size.
template <class Word>
using Environment = std::array<Word, 7>;

enum Field : std::uint8_t {
    control,
    status,
    tags,
    instruction_offset,
    instruction_segment,
    data_offset,
    data_segment
};

// ---- pointers: selector and offset in protected mode, else linear addresses ----

std::uint32_t linear_pointer(std::uint16_t selector, std::uint64_t offset) {
    return static_cast<std::uint32_t>((std::uint32_t{selector} << 4) + offset);
}

template <class Word>
void put_protected_pointers(const FpState& fp, Environment<Word>& fields) {
    constexpr bool wide = sizeof(Word) == 4;
    fields[instruction_offset] = static_cast<Word>(fp.fip);
    fields[instruction_segment] = static_cast<Word>(fp.fcs | (wide ? unsigned{fp.fop} << 16 : 0U));
    fields[data_offset] = static_cast<Word>(fp.fdp);
    fields[data_segment] = static_cast<Word>(fp.fds | (wide ? 0xFFFF'0000U : 0U));
}

// The address bits above the low 16 stand from bit 12 upwards; the opcode below them.
template <class Word>
void put_linear_pointers(const FpState& fp, Environment<Word>& fields) {
    const std::uint32_t instruction = linear_pointer(fp.fcs, fp.fip), data = linear_pointer(fp.fds, fp.fdp);
    constexpr unsigned reserved = sizeof(Word) == 4 ? 0xFFFF'0000U : 0U;
    fields[instruction_offset] = static_cast<Word>((instruction & 0xFFFF) | reserved);
    fields[instruction_segment] = static_cast<Word>((instruction >> 16 << 12) | fp.fop);
    fields[data_offset] = static_cast<Word>((data & 0xFFFF) | reserved);
    fields[data_segment] = static_cast<Word>(data >> 16 << 12);
}

template <class Word>
void take_protected_pointers(const Environment<Word>& fields, FpState& fp) {
    fp.fip = fields[instruction_offset];
    fp.fcs = static_cast<std::uint16_t>(fields[instruction_segment]);
    fp.fop = static_cast<std::uint16_t>((std::uint64_t{fields[instruction_segment]} >> 16) & x86::fop_bits);
    fp.fdp = fields[data_offset];
    fp.fds = static_cast<std::uint16_t>(fields[data_segment]);
}

template <class Word>
void take_linear_pointers(const Environment<Word>& fields, FpState& fp) {
    const auto linear = [&fields](Field low, Field high) {
        return static_cast<std::uint16_t>(fields[low]) | (std::uint32_t{fields[high]} >> 12 << 16);
    };
    fp.fip = linear(instruction_offset, instruction_segment);
    fp.fop = static_cast<std::uint16_t>(fields[instruction_segment] & x86::fop_bits);
    fp.fdp = linear(data_offset, data_segment);
    fp.fcs = fp.fds = 0;
}

// ---- the environment ----

template <class Word>
Environment<Word> environment_of(const Cpu& cpu) {
    constexpr unsigned reserved = sizeof(Word) == 4 ? 0xFFFF'0000U : 0U;
    const FpState& fp = cpu.fp;
    Environment<Word> fields{};
    fields[control] = static_cast<Word>(fp.fcw | reserved);
    fields[status] = static_cast<Word>(fp.fsw | reserved);
    fields[tags] = static_cast<Word>(x86::full_tag_word(fp) | reserved);
    if (cpu.real_or_v86()) {
        put_linear_pointers(fp, fields);
    } else {
        put_protected_pointers(fp, fields);
    }
    return fields;
}

template <class Word>
void set_environment(Cpu& cpu, const Environment<Word>& fields) {
    FpState& fp = cpu.fp;
    fp.fsw = static_cast<std::uint16_t>(fields[status]);
    fp.abridged_tag = x86::abridge_tag_word(static_cast<std::uint16_t>(fields[tags]));
    if (cpu.real_or_v86()) {
        take_linear_pointers(fields, fp);
    } else {
        take_protected_pointers(fields, fp);
    }
    set_control_word(fp, static_cast<std::uint16_t>(fields[control]));
}

template <class Word>
constexpr std::size_t environment_size = sizeof(Environment<Word>);
constexpr std::size_t register_size = 10;
template <class Word>
constexpr std::size_t state_size = environment_size<Word> + 8 * register_size;

// Guest memory is little-endian; the block's bytes are made so field by field.
template <class Word>
void put(const Environment<Word>& fields, std::uint8_t* to) {
    for (const Word field : fields) {
        store_le(to, field);
        to += sizeof field;
    }
}

template <class Word>
Environment<Word> take(const std::uint8_t* from) {
    Environment<Word> fields;
    for (Word& field : fields) {
        field = load_le<Word>(from);
        from += sizeof field;
    }
    return fields;
}

// ---- instructions ----

template <class Word>
void store_environment(Cpu& cpu, const Insn& insn) {
    std::array<std::uint8_t, environment_size<Word>> block;
    put(environment_of<Word>(cpu), block.data());
    store_block<Word>(cpu, insn.segment, cpu.effective_address(insn), block);
    set_control_word(cpu.fp, cpu.fp.fcw | fp_exception::all);
}

template <class Word>
void load_environment(Cpu& cpu, const Insn& insn) {
    std::array<std::uint8_t, environment_size<Word>> block;
    load_block<Word>(cpu, insn.segment, cpu.effective_address(insn), block);
    set_environment(cpu, take<Word>(block.data()));
}

template <class Word>
void save_state(Cpu& cpu, const Insn& insn) {
    std::array<std::uint8_t, state_size<Word>> block;
    put(environment_of<Word>(cpu), block.data());
    std::uint8_t* to = block.data() + environment_size<Word>;
    for (unsigned i = 0; i < 8; ++i, to += register_size) {
        store_le(to, st(cpu.fp, i).significand);
        store_le(to + 8, st(cpu.fp, i).sign_exponent);
    }
    store_block<Word>(cpu, insn.segment, cpu.effective_address(insn), block);
    x86::initialize_x87(cpu.fp);
}

template <class Word>
void restore_state(Cpu& cpu, const Insn& insn) {
    std::array<std::uint8_t, state_size<Word>> block;
    load_block<Word>(cpu, insn.segment, cpu.effective_address(insn), block);
    set_environment(cpu, take<Word>(block.data()));
    const std::uint8_t* from = block.data() + environment_size<Word>;
    for (unsigned i = 0; i < 8; ++i, from += register_size) {
        st(cpu.fp, i) = {load_le<std::uint64_t>(from), load_le<std::uint16_t>(from + 8)};
    }
}

// The format follows the operand size; 64 bits count as 32.
template <Handler narrow, Handler wide>
Handler by_operand_size(const Decoded& decoded, Insn&) {
    return decoded.info.operand_width == 16 ? narrow : wide;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FNSTENV, by_operand_size<non_waiting<store_environment<std::uint16_t>>,
                                             non_waiting<store_environment<std::uint32_t>>>},
    {ZYDIS_MNEMONIC_FLDENV,
     by_operand_size<waiting<load_environment<std::uint16_t>>, waiting<load_environment<std::uint32_t>>>},
    {ZYDIS_MNEMONIC_FNSAVE,
     by_operand_size<non_waiting<save_state<std::uint16_t>>, non_waiting<save_state<std::uint32_t>>>},
    {ZYDIS_MNEMONIC_FRSTOR,
     by_operand_size<waiting<restore_state<std::uint16_t>>, waiting<restore_state<std::uint32_t>>>},
};

} // namespace

Rows environment_rows() { return rows; }

} // namespace strata::cpu::interpreter::x87
