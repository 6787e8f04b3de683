#include "cpu/kvm/kept_state.hpp"

#include "cpu/kvm/msrs.hpp"
#include "cpu/kvm/registers.hpp"
#include "cpu/x86/registers.hpp"

namespace strata::cpu::kvm {
namespace {

void leave_visible_parts(x86::Segment& segment) {
    constexpr int accessed = 1, granularity = 1 << 15;
    if (segment.unusable || !segment.present()) {
        segment = {.selector = segment.selector, .base = segment.base, .limit = 0, .unusable = true};
        return;
    }
    const int always = segment.is_code_or_data() ? accessed : 0;
    segment.attributes = static_cast<std::uint16_t>((segment.attributes & ~granularity) | always);
}

} // namespace

x86::State as_kept(const x86::State& state, const x86::State& theirs, const x86::Model& model) {
    x86::State kept = theirs;
    from_regs(to_regs(state), kept);
    from_sregs(to_sregs(state, {}), kept);
    from_debugregs(to_debugregs(state), kept);
    from_xsave(to_xsave(state, model), kept);
    from_msrs(to_msrs(state, model), kept);
    from_events(to_events(state), kept);
    if (model.has(x86::Feature::xsave)) {
        kept.system.xcr0 = state.system.xcr0;
    }
    kept.activity = state.activity;
    return kept;
}

void leave_visible_parts(x86::State& state) {
    for (x86::Segment& segment : state.system.segments) {
        leave_visible_parts(segment);
    }
    leave_visible_parts(state.system.ldtr);
    leave_visible_parts(state.system.tr);
}

} // namespace strata::cpu::kvm
