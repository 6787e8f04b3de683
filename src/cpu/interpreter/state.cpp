// The processor's state in the form that all engines share.
#include "cpu/interpreter/cpu.hpp"

#include <algorithm>

namespace strata::cpu::interpreter {

x86::State Cpu::state() const {
    x86::State state;
    std::ranges::copy_n(regs.begin(), state.gpr.size(), state.gpr.begin());
    state.rip = code64_ ? rip() : static_cast<std::uint32_t>(rip());
    state.rflags = rflags();
    state.system = system;
    state.fp = fp;
    state.activity = activity;
    state.sti_shadow = sti_shadow;
    state.movss_shadow = movss_shadow;
    state.nmi_blocked = nmi_blocked;
    state.in_smm = in_smm;
    return state;
}

void Cpu::set_state(const x86::State& state) {
    std::ranges::copy(state.gpr, regs.begin());
    rip() = state.rip;
    flags.set_arithmetic(state.rflags);
    other_flags = (state.rflags & ~x86::flag::arithmetic) | x86::flag::fixed;
    system = state.system;
    fp = state.fp;
    activity = state.activity;
    sti_shadow = state.sti_shadow;
    movss_shadow = state.movss_shadow;
    nmi_blocked = state.nmi_blocked;
    in_smm = state.in_smm;
    // The privilege level is SS's, as the processor keeps it; real mode is 0, virtual-8086 mode is 3.
    cpl_ = !protected_mode() ? 0 : v86() ? 3 : system.segments[x86::ss].dpl();
    flush_tlb(true);
    mode_changed();
}

} // namespace strata::cpu::interpreter
