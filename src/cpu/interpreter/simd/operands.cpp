// Memory operands of vector instructions. SDM volume 1 section 4.1.1, volume 2A table 2-14 ff.; APM volume 1
// section 4.3.2 (misaligned exception mask).
#include "cpu/interpreter/simd/operands.hpp"

namespace strata::cpu::interpreter::simd {

template <std::size_t blocks>
Vector<blocks> load_aligned(Cpu& cpu, const Insn& insn) {
    constexpr unsigned size = sizeof(Vector<blocks>);
    const std::uint64_t address = cpu.operand_address(insn, size, Access::read);
    if (address % size != 0) [[unlikely]] {
        cpu.raise_gp();
    }
    return cpu.load_at<Vector<blocks>>(address, insn.segment);
}

template <std::size_t blocks>
void store_aligned(Cpu& cpu, const Insn& insn, Vector<blocks> value) {
    constexpr unsigned size = sizeof(Vector<blocks>);
    const std::uint64_t address = cpu.operand_address(insn, size, Access::write);
    if (address % size != 0) [[unlikely]] {
        cpu.raise_gp();
    }
    cpu.store_at(address, insn.segment, value);
}

template <std::size_t blocks>
Vector<blocks> load_source(Cpu& cpu, const Insn& insn) {
    constexpr unsigned size = sizeof(Vector<blocks>);
    const std::uint64_t address = cpu.operand_address(insn, size, Access::read);
    if (address % size != 0 && !insn.vex && !(cpu.fp.mxcsr & x86::mxcsr::misaligned)) [[unlikely]] {
        cpu.raise_gp();
    }
    return cpu.load_at<Vector<blocks>>(address, insn.segment);
}

template Vector<1> load_aligned<1>(Cpu&, const Insn&);
template Vector<2> load_aligned<2>(Cpu&, const Insn&);
template void store_aligned<1>(Cpu&, const Insn&, Vector<1>);
template void store_aligned<2>(Cpu&, const Insn&, Vector<2>);
template Vector<1> load_source<1>(Cpu&, const Insn&);
template Vector<2> load_source<2>(Cpu&, const Insn&);

} // namespace strata::cpu::interpreter::simd
