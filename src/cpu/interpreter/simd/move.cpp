// Moves of whole vectors: aligned, unaligned and non-temporal; VZEROUPPER, VZEROALL. SDM volume 2B, by
// instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <utility>

namespace strata::cpu::interpreter::simd {
namespace {

enum class Alignment : bool { any, required };

template <std::size_t blocks>
void move_register(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, read<blocks>(cpu, insn.rm));
}

template <Alignment alignment, std::size_t blocks>
void load(Cpu& cpu, const Insn& insn) {
    if constexpr (alignment == Alignment::required) {
        write(cpu, insn, load_aligned<blocks>(cpu, insn));
    } else {
        write(cpu, insn, cpu.load<Vector<blocks>>(insn));
    }
}

template <Alignment alignment, std::size_t blocks>
void store(Cpu& cpu, const Insn& insn) {
    if constexpr (alignment == Alignment::required) {
        store_aligned<blocks>(cpu, insn, read<blocks>(cpu, insn.reg));
    } else {
        cpu.store<Vector<blocks>>(insn, read<blocks>(cpu, insn.reg));
    }
}

template <Alignment alignment>
Handler select_move(const Decoded& decoded, Insn& insn) {
    const bool to_rm = destination_is_rm(decoded);
    if (insn.memory) {
        return to_rm ? select_form(decoded, insn, &store<alignment, 1>, &store<alignment, 2>)
                     : select_form(decoded, insn, &load<alignment, 1>, &load<alignment, 2>);
    }
    if (to_rm) {
        std::swap(insn.reg, insn.rm);
    }
    return select_form(decoded, insn, &move_register<1>, &move_register<2>);
}

template <std::size_t blocks>
void zero_from(Cpu& cpu) {
    const std::size_t registers = cpu.code64() ? 16 : 8;
    for (std::size_t i = 0; i < registers; ++i) {
        for (std::size_t lane = 2 * blocks; lane < 4; ++lane) {
            cpu.fp.ymm[i].lanes[lane] = 0;
        }
    }
}

void zero_upper(Cpu& cpu, const Insn&) { zero_from<1>(cpu); }

void zero_all(Cpu& cpu, const Insn&) { zero_from<0>(cpu); }

Handler select_zero_upper(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &zero_upper, nullptr);
}

Handler select_zero_all(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, nullptr, &zero_all);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(MOVAPS, select_move<Alignment::required>),
    STRATA_SSE_AVX(MOVAPD, select_move<Alignment::required>),
    STRATA_SSE_AVX(MOVDQA, select_move<Alignment::required>),
    STRATA_SSE_AVX(MOVUPS, select_move<Alignment::any>),
    STRATA_SSE_AVX(MOVUPD, select_move<Alignment::any>),
    STRATA_SSE_AVX(MOVDQU, select_move<Alignment::any>),
    STRATA_SSE_AVX(LDDQU, select_move<Alignment::any>),
    STRATA_SSE_AVX(MOVNTPS, select_move<Alignment::required>),
    STRATA_SSE_AVX(MOVNTPD, select_move<Alignment::required>),
    STRATA_SSE_AVX(MOVNTDQ, select_move<Alignment::required>),
    STRATA_SSE_AVX(MOVNTDQA, select_move<Alignment::required>),
    STRATA_SSE(VZEROUPPER, select_zero_upper),
    STRATA_SSE(VZEROALL, select_zero_all),
};

} // namespace

constinit const Rows move_rows = rows;

} // namespace strata::cpu::interpreter::simd
