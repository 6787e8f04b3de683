// The state after RESET# and INIT#. SDM volume 3 section 9.1.1, table 9-1; section 8.4 for SIPI.
#include "cpu/interpreter/cpu.hpp"

namespace strata::cpu::interpreter {

namespace {

constexpr std::uint16_t present_code = 0x9B, present_data = 0x93, present_ldt = 0x82, present_tss = 0x8B;

void real_mode_segments(x86::SystemState& system, std::uint16_t code_selector, std::uint64_t code_base) {
    system.segments.fill({.attributes = present_data});
    system.segments[x86::cs] = {.selector = code_selector, .base = code_base, .attributes = present_code};
    system.ldtr = {.attributes = present_ldt};
    system.tr = {.attributes = present_tss};
    system.gdtr = system.idtr = {};
}

} // namespace

void Cpu::reset() {
    const std::int64_t tsc_offset = system.tsc_offset;
    system = {};
    system.tsc_offset = tsc_offset;
    fp = {};
    init();
    system.cr0 = x86::SystemState{}.cr0;
    mode_changed();
}

// Caches, model-specific and floating-point registers stay.
void Cpu::init() {
    constexpr std::uint64_t kept_cr0 = x86::cr0::cd | x86::cr0::nw;
    system.cr0 = (system.cr0 & kept_cr0) | x86::cr0::et;
    system.cr2 = system.cr3 = system.cr4 = system.efer = 0;
    system.dr.fill(0);
    system.dr6 = x86::SystemState{}.dr6;
    system.dr7 = x86::SystemState{}.dr7;
    real_mode_segments(system, 0xF000, 0xFFFF'0000);
    regs.fill(0);
    regs[x86::rdx] = x86::signature(model());
    rip() = 0xFFF0;
    flags.set_arithmetic(0);
    other_flags = x86::flag::fixed;
    sti_shadow = movss_shadow = nmi_blocked = in_smm = false;
    activity = config_.id == 0 ? x86::Activity::active : x86::Activity::wait_sipi;
    cpl_ = 0;
    flush_tlb(true);
    mode_changed();
}

void Cpu::take_startup() {
    const std::uint8_t vector = signals_.startup_vector.load();
    x86::Segment& code = system.segments[x86::cs];
    code.selector = static_cast<std::uint16_t>(vector << 8);
    code.base = std::uint64_t{vector} << 12;
    rip() = 0;
    activity = x86::Activity::active;
    mode_changed();
}

} // namespace strata::cpu::interpreter
