// x87 control: the control and status words, tags, the stack pointer, initialization. SDM volume 1
// sections 8.1 and 8.3.11, volume 2.
#include "cpu/interpreter/x87/groups.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

namespace strata::cpu::interpreter::x87 {

namespace {

// ---- words ----

void load_control_word(Cpu& cpu, const Insn& insn) {
    set_control_word(cpu.fp, cpu.load<std::uint16_t>(insn));
}

void store_control_word(Cpu& cpu, const Insn& insn) { cpu.store<std::uint16_t>(insn, cpu.fp.fcw); }

void store_status_word(Cpu& cpu, const Insn& insn) {
    if (insn.memory) {
        cpu.store<std::uint16_t>(insn, cpu.fp.fsw);
    } else {
        cpu.set_reg<std::uint16_t>(x86::rax, cpu.fp.fsw);
    }
}

void clear_exceptions(Cpu& cpu, const Insn&) {
    constexpr unsigned cleared = fp_exception::all | fsw::sf | fsw::es | fsw::b;
    cpu.fp.fsw = static_cast<std::uint16_t>(cpu.fp.fsw & ~cleared);
}

void initialize_unit(Cpu& cpu, const Insn&) { x86::initialize_x87(cpu.fp); }

// ---- stack ----

template <unsigned by>
void rotate_stack(Cpu& cpu, const Insn&) {
    rotate(cpu.fp, by);
    clear_c1(cpu.fp);
}

template <bool pops>
void free_register(Cpu& cpu, const Insn& insn) {
    mark_empty(cpu.fp, insn.rm);
    if (pops) {
        pop(cpu.fp);
    }
    clear_c1(cpu.fp);
}

void no_operation(Cpu&, const Insn&) {}

// WAIT heeds TS only if CR0.MP says so, and EM not at all.
void wait_for_unit(Cpu& cpu, const Insn& insn) {
    constexpr std::uint64_t monitored = x86::cr0::mp | x86::cr0::ts;
    if ((cpu.system.cr0 & monitored) == monitored) {
        cpu.raise(x86::Vector::device_not_available);
    }
    if (cpu.fp.fsw & fsw::es) {
        static_cast<void>(report_pending(cpu, insn));
    }
}

Handler select_wait(const Decoded&, Insn&) { return &wait_for_unit; }

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FLDCW, wait<load_control_word>},
    {ZYDIS_MNEMONIC_FNSTCW, no_wait<store_control_word>},
    {ZYDIS_MNEMONIC_FNSTSW, no_wait<store_status_word>},
    {ZYDIS_MNEMONIC_FNCLEX, no_wait<clear_exceptions>},
    {ZYDIS_MNEMONIC_FNINIT, no_wait<initialize_unit>},
    {ZYDIS_MNEMONIC_FWAIT, select_wait},
    {ZYDIS_MNEMONIC_FNOP, compute<no_operation>},
    {ZYDIS_MNEMONIC_FINCSTP, compute<rotate_stack<1>>},
    {ZYDIS_MNEMONIC_FDECSTP, compute<rotate_stack<7>>},
    {ZYDIS_MNEMONIC_FFREE, compute<free_register<false>>},
    {ZYDIS_MNEMONIC_FFREEP, compute<free_register<true>>},
    // Controls of the 8087 and 80287, without effect on their successors.
    {ZYDIS_MNEMONIC_FENI8087_NOP, no_wait<no_operation>},
    {ZYDIS_MNEMONIC_FDISI8087_NOP, no_wait<no_operation>},
    {ZYDIS_MNEMONIC_FSETPM287_NOP, no_wait<no_operation>},
};

} // namespace

Rows control_rows() { return rows; }

} // namespace strata::cpu::interpreter::x87
