// Memory operands of vector instructions. SDM volume 1 section 4.1.1, volume 2A table 2-14 ff.; APM volume 1
// section 4.3.2 (misaligned exception mask).
#include "cpu/interpreter/simd/operands.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

template <std::size_t blocks>
void require_alignment(Cpu& cpu, const Insn& insn, Access access) {
    constexpr unsigned size = sizeof(Vector<blocks>);
    if (cpu.linear(insn.segment, cpu.effective_address(insn), size, access) % size != 0) [[unlikely]] {
        cpu.raise_gp();
    }
}

} // namespace

template <std::size_t blocks>
Vector<blocks> load_aligned(Cpu& cpu, const Insn& insn) {
    require_alignment<blocks>(cpu, insn, Access::read);
    return cpu.load<Vector<blocks>>(insn);
}

template <std::size_t blocks>
void store_aligned(Cpu& cpu, const Insn& insn, const Vector<blocks>& value) {
    require_alignment<blocks>(cpu, insn, Access::write);
    cpu.store<Vector<blocks>>(insn, value);
}

template <std::size_t blocks>
Vector<blocks> load_source(Cpu& cpu, const Insn& insn) {
    if (insn.vex || (cpu.fp.mxcsr & x86::mxcsr::misaligned)) {
        return cpu.load<Vector<blocks>>(insn);
    }
    return load_aligned<blocks>(cpu, insn);
}

template Vector<1> load_aligned<1>(Cpu&, const Insn&);
template Vector<2> load_aligned<2>(Cpu&, const Insn&);
template void store_aligned<1>(Cpu&, const Insn&, const Vector<1>&);
template void store_aligned<2>(Cpu&, const Insn&, const Vector<2>&);
template Vector<1> load_source<1>(Cpu&, const Insn&);
template Vector<2> load_source<2>(Cpu&, const Insn&);

} // namespace strata::cpu::interpreter::simd
