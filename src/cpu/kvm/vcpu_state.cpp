// A vCPU's state, to and from the kernel, and its time-stamp counter.
#include "cpu/kvm/msrs.hpp"
#include "cpu/kvm/registers.hpp"
#include "cpu/kvm/vcpu.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/reset.hpp"

#include <array>

namespace strata::cpu::kvm {
namespace {

// Hands a structure that the kernel has to `take`; a failure is the value.
template <class T, class Take>
Result<void> read(const VcpuDescriptor& vcpu, unsigned long request, std::string_view name, Take take) {
    const auto value = vcpu.get<T>(request, name);
    if (!value) {
        return std::unexpected(value.error());
    }
    take(*value);
    return {};
}

#define STRATA_KVM_READ(type, request, take) read<type>(descriptor_, request, #request, take)

} // namespace

x86::State KvmVcpu::state() const {
    x86::State state;
    const auto into = [&state](auto from) {
        return [&state, from](const auto& value) { from(value, state); };
    };
    check(STRATA_KVM_READ(kvm_regs, KVM_GET_REGS, into(from_regs)));
    check(STRATA_KVM_READ(kvm_sregs, KVM_GET_SREGS, into(from_sregs)));
    check(STRATA_KVM_READ(kvm_debugregs, KVM_GET_DEBUGREGS, into(from_debugregs)));
    check(read<XsaveArea>(descriptor_, get_xsave, "KVM_GET_XSAVE", into(from_xsave)));
    check(STRATA_KVM_READ(kvm_vcpu_events, KVM_GET_VCPU_EVENTS, into(from_events)));
    if (model_.has(x86::Feature::xsave)) {
        check(STRATA_KVM_READ(kvm_xcrs, KVM_GET_XCRS,
                              [&](const kvm_xcrs& xcrs) { state.system.xcr0 = xcrs.xcrs[0].value; }));
    }
    auto msrs = to_msrs(state, model_);
    check(descriptor_.read_msrs(msrs));
    from_msrs(msrs, state);
    state.activity = activity();
    state.system.tsc_offset = tsc_offset() + machine_.time().drift();
    return state;
}

void KvmVcpu::set_state(const x86::State& state) {
    const auto current = STRATA_KVM_GET(descriptor_, kvm_sregs, KVM_GET_SREGS);
    check(current);
    check(STRATA_KVM_SET(descriptor_, KVM_SET_REGS, to_regs(state)));
    if (model_.has(x86::Feature::xsave)) {
        kvm_xcrs xcrs{};
        xcrs.nr_xcrs = 1;
        xcrs.xcrs[0].value = state.system.xcr0;
        check(STRATA_KVM_SET(descriptor_, KVM_SET_XCRS, xcrs));
    }
    check(descriptor_.set(set_xsave, "KVM_SET_XSAVE", to_xsave(state, model_)));
    check(STRATA_KVM_SET(descriptor_, KVM_SET_SREGS, to_sregs(state, current.value_or(kvm_sregs{}))));
    check(descriptor_.write_msrs(to_msrs(state, model_)));
    check(STRATA_KVM_SET(descriptor_, KVM_SET_VCPU_EVENTS, to_events(state)));
    check(STRATA_KVM_SET(descriptor_, KVM_SET_DEBUGREGS, to_debugregs(state)));
    set_activity(state.activity);
    ready_ = false; // LINT0 of the local APIC has a say too: the kernel tells
    unfinished_ = false;
    stopped_ = true;
    own_tsc_offset_ = state.system.tsc_offset - machine_.time().drift();
    tsc_known_ = false;
}

void KvmVcpu::reset() {
    auto after = state();
    x86::reset(after, model_, config_.id == 0);
    set_state(after);
}

// ---- the local APIC, and what it may change by itself ----

x86::Activity KvmVcpu::activity() const {
    if (shut_down_) {
        return x86::Activity::shutdown;
    }
    const auto state = STRATA_KVM_GET(descriptor_, kvm_mp_state, KVM_GET_MP_STATE);
    check(state);
    switch (state.value_or(kvm_mp_state{}).mp_state) {
    case KVM_MP_STATE_HALTED: return x86::Activity::halted;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED: return x86::Activity::wait_sipi;
    default: return x86::Activity::active;
    }
}

void KvmVcpu::set_activity(x86::Activity activity) {
    shut_down_ = activity == x86::Activity::shutdown;
    kvm_mp_state state{};
    state.mp_state = activity == x86::Activity::halted      ? KVM_MP_STATE_HALTED
                     : activity == x86::Activity::wait_sipi ? KVM_MP_STATE_INIT_RECEIVED
                                                            : KVM_MP_STATE_RUNNABLE;
    check(STRATA_KVM_SET(descriptor_, KVM_SET_MP_STATE, state));
}

x86::LocalApicState KvmVcpu::local_apic() const {
    if (coming_apic_) {
        return *coming_apic_;
    }
    x86::LocalApicState state;
    check(STRATA_KVM_READ(kvm_lapic_state, KVM_GET_LAPIC,
                          [&](const auto& lapic) { state = from_lapic(lapic); }));
    std::array entries{kvm_msr_entry{.index = apic_base_msr, .reserved = 0, .data = 0},
                       kvm_msr_entry{.index = tsc_deadline_msr, .reserved = 0, .data = 0}};
    check(descriptor_.read_msrs(entries));
    state.base = entries[0].data;
    state.tsc_deadline = entries[1].data;
    return state;
}

void KvmVcpu::put_local_apic(const x86::LocalApicState& state) {
    const kvm_msr_entry base{.index = apic_base_msr, .reserved = 0, .data = state.base};
    const kvm_msr_entry deadline{.index = tsc_deadline_msr, .reserved = 0, .data = state.tsc_deadline};
    check(descriptor_.write_msrs({&base, 1}));
    check(STRATA_KVM_SET(descriptor_, KVM_SET_LAPIC, to_lapic(state, config_.id)));
    check(descriptor_.write_msrs({&deadline, 1}));
}

bool KvmVcpu::state_is_whole() const {
    const auto events = STRATA_KVM_GET(descriptor_, kvm_vcpu_events, KVM_GET_VCPU_EVENTS);
    check(events);
    return events && !event_under_way(*events);
}

std::optional<memory::GuestPhysical> KvmVcpu::translate(std::uint64_t linear) const {
    kvm_translation translation{};
    translation.linear_address = linear;
    const auto done = STRATA_KVM_CALL(descriptor_.descriptor(), KVM_TRANSLATE, &translation);
    return done && translation.valid ? std::optional(translation.physical_address) : std::nullopt;
}

std::uint64_t KvmVcpu::linear_rip() const {
    x86::State state;
    check(STRATA_KVM_READ(kvm_regs, KVM_GET_REGS, [&](const auto& regs) { from_regs(regs, state); }));
    check(STRATA_KVM_READ(kvm_sregs, KVM_GET_SREGS, [&](const auto& sregs) { from_sregs(sregs, state); }));
    return state.system.segments[x86::cs].base + state.rip;
}

// ---- the time-stamp counter ----

std::uint64_t KvmVcpu::guest_tsc() const {
    kvm_msr_entry entry{.index = tsc_msr, .reserved = 0, .data = 0};
    check(descriptor_.read_msrs({&entry, 1}));
    return entry.data;
}

std::uint64_t KvmVcpu::host_tsc() const {
    const auto offset = descriptor_.tsc_offset();
    check(offset);
    return guest_tsc() - static_cast<std::uint64_t>(offset.value_or(0));
}

std::int64_t KvmVcpu::tsc_offset() const {
    if (!tsc_known_) {
        return own_tsc_offset_;
    }
    const auto offset = descriptor_.tsc_offset();
    check(offset);
    return offset.value_or(0) - base_;
}

// At the begin of each run: the clock may have been paused since.
void KvmVcpu::set_tsc() {
    const std::int64_t base = machine_.time().base(host_tsc());
    if (tsc_known_ && base == base_) {
        return;
    }
    own_tsc_offset_ = tsc_offset();
    base_ = base;
    kvm_msr_entry deadline{.index = tsc_deadline_msr, .reserved = 0, .data = 0};
    check(descriptor_.read_msrs({&deadline, 1}));
    check(descriptor_.set_tsc_offset(base_ + own_tsc_offset_));
    check(descriptor_.write_msrs({&deadline, 1})); // the timer was set for the counter as it was
    tsc_known_ = true;
}

} // namespace strata::cpu::kvm
