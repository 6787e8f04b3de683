// Single elements in and out of vectors: PINSR*, PEXTR*, INSERTPS, EXTRACTPS, VINSERTF128, VEXTRACTF128.
// SDM volume 2, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

template <class T>
T element(const Cpu& cpu, unsigned number, const Insn& insn) {
    return lanes<T>(read_block(cpu, number))[immediate(insn) % lane_count<T>];
}

// ---- extraction: general registers are written whole, memory by the element's size ----

template <class T>
void extract(Cpu& cpu, const Insn& insn) {
    const T value = element<T>(cpu, insn.reg, insn);
    if (insn.memory) {
        cpu.store<T>(insn, value);
    } else {
        cpu.set_reg<uint64_t>(insn.rm, value);
    }
}

// PEXTRW's older encoding: the destination is ModRM.reg.
void extract_word_to_reg(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<uint64_t>(insn.reg, element<uint16_t>(cpu, insn.rm, insn));
}

Handler select_extract_word(const Decoded& decoded, Insn& insn) {
    return destination_is_rm(decoded) ? fixed_128<&extract<uint16_t>>(decoded, insn)
                                      : fixed_128<&extract_word_to_reg>(decoded, insn);
}

// ---- insertion ----

// The general register's number: byte registers are never AH to BH here.
template <class T>
void insert(Cpu& cpu, const Insn& insn) {
    const T value = insn.memory ? cpu.load<T>(insn) : static_cast<T>(cpu.reg<uint64_t>(insn.rm));
    auto result = lanes<T>(read_block(cpu, insn.vvvv));
    result[immediate(insn) % lane_count<T>] = value;
    write(cpu, insn, to_block(result));
}

// INSERTPS: bits 7:6 choose the source's lane (memory has one), 5:4 the destination's, 3:0 lanes to clear.
void insert_single(Cpu& cpu, const Insn& insn) {
    const uint8_t control = immediate(insn);
    const uint32_t value =
        insn.memory ? cpu.load<uint32_t>(insn) : lanes<uint32_t>(read_block(cpu, insn.rm))[control >> 6];
    auto result = lanes<uint32_t>(read_block(cpu, insn.vvvv));
    result[control >> 4 & 3] = value;
    write(cpu, insn, to_block(result) & ~lane_mask<uint32_t>(control & 0xF));
}

// ---- halves of YMM registers ----

void insert_block(Cpu& cpu, const Insn& insn) {
    const Block value = source<1>(cpu, insn)[0];
    auto result = read<2>(cpu, insn.vvvv);
    result[immediate(insn) & 1] = value;
    write(cpu, insn, result);
}

void extract_block(Cpu& cpu, const Insn& insn) {
    const Block value = read<2>(cpu, insn.reg)[immediate(insn) & 1];
    if (insn.memory) {
        cpu.store<Block>(insn, value);
    } else {
        write_register<1>(cpu, insn, insn.rm, {value});
    }
}

template <Handler handler>
Handler fixed_256(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, nullptr, handler);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PEXTRB, fixed_128<&extract<uint8_t>>),
    STRATA_SSE_AVX(PEXTRW, select_extract_word),
    STRATA_SSE_AVX(PEXTRD, fixed_128<&extract<uint32_t>>),
    STRATA_SSE_AVX(PEXTRQ, fixed_128<&extract<uint64_t>>),
    STRATA_SSE_AVX(EXTRACTPS, fixed_128<&extract<uint32_t>>),
    STRATA_SSE_AVX(PINSRB, fixed_128<&insert<uint8_t>>),
    STRATA_SSE_AVX(PINSRW, fixed_128<&insert<uint16_t>>),
    STRATA_SSE_AVX(PINSRD, fixed_128<&insert<uint32_t>>),
    STRATA_SSE_AVX(PINSRQ, fixed_128<&insert<uint64_t>>),
    STRATA_SSE_AVX(INSERTPS, fixed_128<&insert_single>),
    STRATA_SSE(VINSERTF128, fixed_256<&insert_block>),
    STRATA_SSE(VINSERTI128, fixed_256<&insert_block>),
    STRATA_SSE(VEXTRACTF128, fixed_256<&extract_block>),
    STRATA_SSE(VEXTRACTI128, fixed_256<&extract_block>),
};

} // namespace

constinit const Rows element_rows = rows;

} // namespace strata::cpu::interpreter::simd
