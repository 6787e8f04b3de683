// Moves of parts of vectors: scalars, halves, to and from general registers, and sign masks.
// SDM volume 2B, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <utility>

namespace strata::cpu::interpreter::simd {
namespace {

using std::uint32_t, std::uint64_t;

// ---- the low lane ----

template <class T>
void load_low_zeroing(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, low_lane<T>(cpu.load<T>(insn)));
}

template <class T>
void store_low(Cpu& cpu, const Insn& insn) {
    cpu.store<T>(insn, lanes<T>(read_block(cpu, insn.reg))[0]);
}

// MOVSS, MOVSD between registers: the low lane alone; the rest is the first source's.
template <class T>
void merge_low(Cpu& cpu, const Insn& insn) {
    const Block mask = low_lane<T>(static_cast<T>(~T{0}));
    write(cpu, insn, blend(read_block(cpu, insn.vvvv), read_block(cpu, insn.rm), mask));
}

template <class T>
Handler select_scalar(const Decoded& decoded, Insn& insn) {
    const bool to_rm = destination_is_rm(decoded);
    if (insn.memory) {
        const Handler handler = to_rm ? &store_low<T> : &load_low_zeroing<T>;
        return select_form(decoded, insn, handler, handler);
    }
    if (to_rm) {
        std::swap(insn.reg, insn.rm);
    }
    return select_form(decoded, insn, &merge_low<T>, &merge_low<T>);
}

template <class T>
Handler select_store_low(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &store_low<T>, nullptr);
}

// ---- MOVD, MOVQ ----

template <class T>
void from_general(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, low_lane<T>(cpu.load_rm<T>(insn)));
}

template <class T>
void to_general(Cpu& cpu, const Insn& insn) {
    cpu.store_rm<T>(insn, lanes<T>(read_block(cpu, insn.reg))[0]);
}

void move_low_quadword(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, low_lane(low_source<uint64_t>(cpu, insn)[0]));
}

template <class T>
Handler select_general(const Decoded& decoded, Insn& insn) {
    return destination_is_rm(decoded) ? fixed_128<&to_general<T>>(decoded, insn)
                                      : fixed_128<&from_general<T>>(decoded, insn);
}

Handler select_quadword(const Decoded& decoded, Insn& insn) {
    constexpr unsigned movd_load = 0x6E, movd_store = 0x7E, movq_store = 0xD6;
    const unsigned opcode = decoded.info.opcode;
    const bool is_movd = opcode == movd_load || (opcode == movd_store && destination_is_rm(decoded));
    if (is_movd || (insn.memory && opcode == movq_store)) {
        return select_general<uint64_t>(decoded, insn);
    }
    if (opcode == movq_store) {
        std::swap(insn.reg, insn.rm);
    }
    return fixed_128<&move_low_quadword>(decoded, insn);
}

// ---- halves ----

template <unsigned half>
void load_half(Cpu& cpu, const Insn& insn) {
    const uint64_t value = cpu.load<uint64_t>(insn);
    Block result = read_block(cpu, insn.vvvv);
    result[half] = value;
    write(cpu, insn, result);
}

template <unsigned half>
void store_half(Cpu& cpu, const Insn& insn) {
    cpu.store<uint64_t>(insn, read_block(cpu, insn.reg)[half]);
}

template <unsigned half>
Handler select_half(const Decoded& decoded, Insn& insn) {
    return destination_is_rm(decoded) ? fixed_128<&store_half<half>>(decoded, insn)
                                      : fixed_128<&load_half<half>>(decoded, insn);
}

void move_high_to_low(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, Block{read_block(cpu, insn.rm)[1], read_block(cpu, insn.vvvv)[1]});
}

void move_low_to_high(Cpu& cpu, const Insn& insn) {
    write(cpu, insn, Block{read_block(cpu, insn.vvvv)[0], read_block(cpu, insn.rm)[0]});
}

// ---- sign masks ----

template <class T, std::size_t blocks>
void move_mask(Cpu& cpu, const Insn& insn) {
    const auto value = read<blocks>(cpu, insn.rm);
    uint64_t mask = 0;
    for (std::size_t i = 0; i < blocks; ++i) {
        mask |= uint64_t{sign_bits<T>(value[i])} << i * lane_count<T>;
    }
    cpu.set_reg<uint64_t>(insn.reg, mask);
}

template <class T>
Handler select_mask(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &move_mask<T, 1>, &move_mask<T, 2>);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(MOVSS, select_scalar<uint32_t>),
    STRATA_SSE_AVX(MOVSD, select_scalar<uint64_t>),
    STRATA_SSE(MOVNTSS, select_store_low<uint32_t>),
    STRATA_SSE(MOVNTSD, select_store_low<uint64_t>),
    STRATA_SSE_AVX(MOVD, select_general<uint32_t>),
    STRATA_SSE_AVX(MOVQ, select_quadword),
    STRATA_SSE_AVX(MOVLPS, select_half<0>),
    STRATA_SSE_AVX(MOVLPD, select_half<0>),
    STRATA_SSE_AVX(MOVHPS, select_half<1>),
    STRATA_SSE_AVX(MOVHPD, select_half<1>),
    STRATA_SSE_AVX(MOVHLPS, fixed_128<&move_high_to_low>),
    STRATA_SSE_AVX(MOVLHPS, fixed_128<&move_low_to_high>),
    STRATA_SSE_AVX(MOVMSKPS, select_mask<uint32_t>),
    STRATA_SSE_AVX(MOVMSKPD, select_mask<uint64_t>),
    STRATA_SSE_AVX(PMOVMSKB, select_mask<std::uint8_t>),
};

} // namespace

constinit const Rows move_partial_rows = rows;

} // namespace strata::cpu::interpreter::simd
