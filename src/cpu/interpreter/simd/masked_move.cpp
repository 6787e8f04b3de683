// Moves under a mask: MASKMOVDQU, VMASKMOVPS/PD, VPMASKMOVD/Q. Lanes that the mask leaves out are not
// accessed and cannot fault, but for MASKMOVDQU's, which fault as a store of all would; a store that faults
// has stored nothing. SDM volume 2, by instruction.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/masked_access.hpp"
#include "cpu/interpreter/simd/select.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

template <class T, std::size_t blocks>
void load_masked(Cpu& cpu, const Insn& insn) {
    constexpr std::size_t count = blocks * lane_count<T>;
    const auto mask = std::bit_cast<std::array<T, count>>(read<blocks>(cpu, insn.vvvv));
    const std::uint64_t offset = cpu.effective_address(insn);
    std::array<T, count> result{};
    for (std::size_t i = 0; i < count; ++i) {
        if (is_selected(mask[i])) {
            result[i] = load_lane<T>(cpu, insn, lane_offset<T>(offset, i));
        }
    }
    write(cpu, insn, std::bit_cast<Vector<blocks>>(result));
}

template <class T, std::size_t blocks>
void store_masked(Cpu& cpu, const Insn& insn) {
    store_selected<T, blocks>(cpu, insn, cpu.effective_address(insn), read<blocks>(cpu, insn.reg),
                              read<blocks>(cpu, insn.vvvv));
}

template <class T>
Handler select_masked(const Decoded& decoded, Insn& insn) {
    return destination_is_rm(decoded) ? select_form(decoded, insn, &store_masked<T, 1>, &store_masked<T, 2>)
                                      : select_form(decoded, insn, &load_masked<T, 1>, &load_masked<T, 2>);
}

// To DS:rDI; the segment can be overridden.
void store_bytes(Cpu& cpu, const Insn& insn) {
    const std::uint64_t offset = Cpu::masked_address(insn, cpu.regs[x86::rdi]);
    probe_whole<Block>(cpu, insn, offset);
    store_selected<std::uint8_t, 1>(cpu, insn, offset, read<1>(cpu, insn.reg), read<1>(cpu, insn.rm));
}

constexpr Row rows[] = {
    STRATA_SSE(VMASKMOVPS, select_masked<std::uint32_t>),
    STRATA_SSE(VMASKMOVPD, select_masked<std::uint64_t>),
    STRATA_SSE(VPMASKMOVD, select_masked<std::uint32_t>),
    STRATA_SSE(VPMASKMOVQ, select_masked<std::uint64_t>),
    STRATA_SSE_AVX(MASKMOVDQU, fixed_128<&store_bytes>),
};

} // namespace

constinit const Rows masked_move_rows = rows;

} // namespace strata::cpu::interpreter::simd
