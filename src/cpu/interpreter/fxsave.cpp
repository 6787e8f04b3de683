// FXSAVE and FXRSTOR. SDM volume 1 section 10.5, volume 2; APM volume 2 section 11.4.4 (fast FXSAVE).
#include "cpu/interpreter/extended_state.hpp"

namespace strata::cpu::interpreter {

namespace area = x86::xsave_area;

namespace {

constexpr unsigned alignment = 16;

void require_unit(Cpu& cpu) {
    if (cpu.system.cr0 & (x86::cr0::em | x86::cr0::ts)) {
        cpu.raise(x86::Vector::device_not_available);
    }
}

// AMD's EFER.FFXSR: the kernel's 64-bit FXSAVE and FXRSTOR pass over the XMM registers.
bool skips_xmm(const Cpu& cpu) {
    return (cpu.system.efer & x86::efer::ffxsr) && cpu.code64() && cpu.cpl() == 0;
}

void save(Cpu& cpu, const Insn& insn) {
    require_unit(cpu);
    SaveArea image(cpu, insn, alignment);
    area::put_x87(image.bytes(), cpu.fp, pointer_format(insn));
    put_mxcsr(image, cpu);
    image.probe(area::legacy); // also what it does not write
    image.add({0, area::xmm_registers.offset});
    if (!skips_xmm(cpu)) {
        area::put_lanes(image.bytes() + area::xmm_registers.offset, cpu.fp, 0, vector_register_count(cpu));
        image.add(present_registers(cpu, area::xmm_registers));
    }
    image.commit();
}

void restore(Cpu& cpu, const Insn& insn) {
    require_unit(cpu);
    SaveArea image(cpu, insn, alignment);
    image.read(area::legacy);
    cpu.set_mxcsr(checked_mxcsr(cpu, image));
    area::take_x87(image.bytes(), cpu.fp, pointer_format(insn));
    if (!skips_xmm(cpu)) {
        area::take_lanes(image.bytes() + area::xmm_registers.offset, cpu.fp, 0, vector_register_count(cpu));
    }
}

template <Handler handler>
Handler select(const Decoded&, Insn&) {
    return handler;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FXSAVE, select<&save>},
    {ZYDIS_MNEMONIC_FXSAVE64, select<&save>},
    {ZYDIS_MNEMONIC_FXRSTOR, select<&restore>},
    {ZYDIS_MNEMONIC_FXRSTOR64, select<&restore>},
};

} // namespace

Rows fxsave_rows() { return rows; }

} // namespace strata::cpu::interpreter
