// Moves to, from and between MM registers; single elements and masks; EMMS. SDM volume 2.
#include "cpu/interpreter/mmx/groups.hpp"
#include "cpu/interpreter/mmx/instruction.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/masked_access.hpp"

namespace strata::cpu::interpreter::mmx {

namespace {

// ---- MOVD, MOVQ, MOVNTQ ----

template <class T>
void load_general(Cpu& cpu, const Insn& insn) {
    write(cpu, insn.reg, cpu.load_rm<T>(insn));
}

template <class T>
void store_general(Cpu& cpu, const Insn& insn) {
    cpu.store_rm<T>(insn, static_cast<T>(read(cpu, insn.reg)));
}

void load(Cpu& cpu, const Insn& insn) { write(cpu, insn.reg, source(cpu, insn)); }

void store(Cpu& cpu, const Insn& insn) {
    if (insn.memory) {
        cpu.store<std::uint64_t>(insn, read(cpu, insn.reg));
    } else {
        write(cpu, insn.rm, read(cpu, insn.reg));
    }
}

bool is_general_register(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) != ZYDIS_REGCLASS_MMX;
}

Handler select_move(const Decoded& decoded, Insn& insn) {
    const bool to_rm = simd::destination_is_rm(decoded);
    const ZydisDecodedOperand& rm = decoded.operands[to_rm ? 0 : 1];
    if (rm.size == 32) {
        return to_rm ? select<store_general<std::uint32_t>>(decoded, insn)
                     : select<load_general<std::uint32_t>>(decoded, insn);
    }
    if (is_general_register(rm)) {
        return to_rm ? select<store_general<std::uint64_t>>(decoded, insn)
                     : select<load_general<std::uint64_t>>(decoded, insn);
    }
    return to_rm ? select<store>(decoded, insn) : select<load>(decoded, insn);
}

// ---- between MM and XMM ----

void to_xmm(Cpu& cpu, const Insn& insn) { simd::write(cpu, insn, Block{read(cpu, insn.rm)}); }

void from_xmm(Cpu& cpu, const Insn& insn) { write(cpu, insn.reg, simd::read_block(cpu, insn.rm)[0]); }

// While the operating system does not support SSE, these do not exist.
template <Handler body>
Handler select_sse(const Decoded& decoded, Insn& insn) {
    return decoded.sse == Availability::invalid_opcode ? nullptr : select<body>(decoded, insn);
}

// ---- elements ----

constexpr unsigned word_bits = 16;

unsigned word_position(const Insn& insn) { return (simd::immediate(insn) & 3) * word_bits; }

void insert_word(Cpu& cpu, const Insn& insn) {
    const std::uint64_t word = cpu.load_rm<std::uint16_t>(insn);
    const unsigned position = word_position(insn);
    const std::uint64_t mask = std::uint64_t{0xFFFF} << position;
    write(cpu, insn.reg, (read(cpu, insn.reg) & ~mask) | word << position);
}

void extract_word(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<std::uint32_t>(insn.reg,
                               static_cast<std::uint16_t>(read(cpu, insn.rm) >> word_position(insn)));
}

void move_mask(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<std::uint32_t>(insn.reg, simd::sign_bits<std::int8_t>(Block{read(cpu, insn.rm)}));
}

// The bytes chosen by the mask's sign bits, to [rDI]. One that faults has taken the unit over, too.
void store_selected(Cpu& cpu, const Insn& insn) {
    take_over(cpu.fp);
    const std::uint64_t offset = Cpu::masked_address(insn, cpu.regs[x86::rdi]);
    simd::probe_whole<std::uint64_t>(cpu, insn, offset);
    simd::store_selected<std::uint8_t, 1>(cpu, insn, offset, {Block{read(cpu, insn.reg)}},
                                          {Block{read(cpu, insn.rm)}});
}

// ---- EMMS: gives the unit back to x87 ----

void empty_state(Cpu& cpu, const Insn& insn) {
    if (ready(cpu, insn)) {
        x86::set_stack_top(cpu.fp, 0);
        cpu.fp.abridged_tag = 0;
    }
}

Handler select_empty_state(const Decoded&, Insn&) { return &empty_state; }

constexpr Row rows[] = {
    STRATA_SSE(MOVD, select_move),
    STRATA_SSE(MOVQ, select_move),
    STRATA_SSE(MOVNTQ, select<store>),
    STRATA_SSE(MOVQ2DQ, select_sse<to_xmm>),
    STRATA_SSE(MOVDQ2Q, select_sse<from_xmm>),
    STRATA_SSE(PINSRW, select<insert_word>),
    STRATA_SSE(PEXTRW, select<extract_word>),
    STRATA_SSE(PMOVMSKB, select<move_mask>),
    STRATA_SSE(MASKMOVQ, select<store_selected>),
    STRATA_SSE(EMMS, select_empty_state),
    STRATA_SSE(FEMMS, select_empty_state),
};

} // namespace

Rows transfer_rows() { return rows; }

} // namespace strata::cpu::interpreter::mmx
