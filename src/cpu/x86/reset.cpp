#include "cpu/x86/reset.hpp"

#include "cpu/x86/registers.hpp"

namespace strata::cpu::x86 {
namespace {

constexpr std::uint16_t present_code = 0x9B, present_data = 0x93, present_ldt = 0x82, present_tss = 0x8B;

void real_mode_segments(SystemState& system, std::uint16_t code_selector, std::uint64_t code_base) {
    system.segments.fill({.attributes = present_data});
    system.segments[cs] = {.selector = code_selector, .base = code_base, .attributes = present_code};
    system.ldtr = {.attributes = present_ldt};
    system.tr = {.attributes = present_tss};
    system.gdtr = system.idtr = {};
}

} // namespace

void reset(State& state, const Model& model, bool bootstrap) {
    const std::int64_t tsc_offset = state.system.tsc_offset;
    state.system = {};
    state.system.tsc_offset = tsc_offset;
    state.fp = {};
    init(state, model, bootstrap);
    state.system.cr0 = SystemState{}.cr0;
}

void init(State& state, const Model& model, bool bootstrap) {
    constexpr std::uint64_t kept_cr0 = cr0::cd | cr0::nw;
    SystemState& system = state.system;
    system.cr0 = (system.cr0 & kept_cr0) | cr0::et;
    system.cr2 = system.cr3 = system.cr4 = system.efer = 0;
    system.dr.fill(0);
    system.dr6 = SystemState{}.dr6;
    system.dr7 = SystemState{}.dr7;
    real_mode_segments(system, 0xF000, 0xFFFF'0000);
    state.gpr.fill(0);
    state.gpr[rdx] = signature(model);
    state.rip = 0xFFF0;
    state.rflags = flag::fixed;
    state.sti_shadow = state.movss_shadow = state.nmi_blocked = state.in_smm = false;
    state.activity = bootstrap ? Activity::active : Activity::wait_sipi;
}

void start_up(State& state, std::uint8_t vector) {
    Segment& code = state.system.segments[cs];
    code.selector = static_cast<std::uint16_t>(vector << 8);
    code.base = std::uint64_t{vector} << 12;
    state.rip = 0;
    state.activity = Activity::active;
}

} // namespace strata::cpu::x86
