#include "cpu/kvm/registers.hpp"

#include "cpu/x86/registers.hpp"
#include "cpu/x86/xsave_area.hpp"

#include <algorithm>

namespace strata::cpu::kvm {
namespace {

using x86::Segment;
using x86::State;
namespace area = x86::xsave_area;

// ---- segments ----

kvm_segment to_segment(const Segment& segment) {
    const auto bits = [&](unsigned shift, unsigned width) {
        return static_cast<std::uint8_t>((segment.attributes >> shift) & ((1U << width) - 1));
    };
    return {.base = segment.base,
            .limit = segment.limit,
            .selector = segment.selector,
            .type = bits(0, 4),
            .present = bits(7, 1),
            .dpl = bits(5, 2),
            .db = bits(14, 1),
            .s = bits(4, 1),
            .l = bits(13, 1),
            .g = bits(15, 1),
            .avl = bits(12, 1),
            .unusable = segment.unusable,
            .padding = 0};
}

Segment from_segment(const kvm_segment& segment) {
    const auto attributes = segment.type | segment.s << 4 | segment.dpl << 5 | segment.present << 7 |
                            segment.avl << 12 | segment.l << 13 | segment.db << 14 | segment.g << 15;
    return {.selector = segment.selector,
            .base = segment.base,
            .limit = segment.limit,
            .attributes = static_cast<std::uint16_t>(attributes),
            .unusable = segment.unusable != 0};
}

kvm_dtable to_table(const x86::DescriptorTable& table) {
    return {.base = table.base, .limit = table.limit, .padding = {}};
}

x86::DescriptorTable from_table(const kvm_dtable& table) {
    return {.base = table.base, .limit = table.limit};
}

// Where each segment register is in the kernel's structure, by x86::SegmentIndex.
constexpr std::array segment_members{&kvm_sregs::es, &kvm_sregs::cs, &kvm_sregs::ss,
                                     &kvm_sregs::ds, &kvm_sregs::fs, &kvm_sregs::gs};

// By x86::Register.
constexpr std::array register_members{&kvm_regs::rax, &kvm_regs::rcx, &kvm_regs::rdx, &kvm_regs::rbx,
                                      &kvm_regs::rsp, &kvm_regs::rbp, &kvm_regs::rsi, &kvm_regs::rdi,
                                      &kvm_regs::r8,  &kvm_regs::r9,  &kvm_regs::r10, &kvm_regs::r11,
                                      &kvm_regs::r12, &kvm_regs::r13, &kvm_regs::r14, &kvm_regs::r15};

} // namespace

// ---- general registers ----

kvm_regs to_regs(const State& state) {
    kvm_regs regs{};
    for (std::size_t i = 0; i < register_members.size(); ++i) {
        regs.*register_members[i] = state.gpr[i];
    }
    regs.rip = state.rip;
    regs.rflags = state.rflags;
    return regs;
}

void from_regs(const kvm_regs& regs, State& state) {
    for (std::size_t i = 0; i < register_members.size(); ++i) {
        state.gpr[i] = regs.*register_members[i];
    }
    state.rip = regs.rip;
    state.rflags = regs.rflags;
}

// ---- special registers ----

namespace {

// Moves each part that both have, one way or the other.
template <class Sregs, class System, class Move>
void each_part(Sregs& sregs, System& system, Move move) {
    for (std::size_t i = 0; i < segment_members.size(); ++i) {
        move(sregs.*segment_members[i], system.segments[i]);
    }
    move(sregs.tr, system.tr);
    move(sregs.ldt, system.ldtr);
    move(sregs.gdt, system.gdtr);
    move(sregs.idt, system.idtr);
    move(sregs.cr0, system.cr0);
    move(sregs.cr2, system.cr2);
    move(sregs.cr3, system.cr3);
    move(sregs.cr4, system.cr4);
    move(sregs.efer, system.efer);
}

struct ToKernel {
    void operator()(kvm_segment& to, const Segment& from) const { to = to_segment(from); }

    void operator()(kvm_dtable& to, const x86::DescriptorTable& from) const { to = to_table(from); }

    void operator()(__u64& to, std::uint64_t from) const { to = from; }
};

struct FromKernel {
    void operator()(const kvm_segment& from, Segment& to) const { to = from_segment(from); }

    void operator()(const kvm_dtable& from, x86::DescriptorTable& to) const { to = from_table(from); }

    void operator()(__u64 from, std::uint64_t& to) const { to = from; }
};

} // namespace

kvm_sregs to_sregs(const State& state, const kvm_sregs& current) {
    kvm_sregs sregs{};
    each_part(sregs, state.system, ToKernel{});
    sregs.cr8 = current.cr8;
    sregs.apic_base = current.apic_base;
    return sregs;
}

void from_sregs(const kvm_sregs& sregs, State& state) { each_part(sregs, state.system, FromKernel{}); }

// ---- debug registers ----

kvm_debugregs to_debugregs(const State& state) {
    kvm_debugregs debugregs{};
    std::ranges::copy(state.system.dr, debugregs.db);
    debugregs.dr6 = state.system.dr6;
    debugregs.dr7 = state.system.dr7;
    return debugregs;
}

void from_debugregs(const kvm_debugregs& debugregs, State& state) {
    std::ranges::copy(debugregs.db, state.system.dr.begin());
    state.system.dr6 = debugregs.dr6;
    state.system.dr7 = debugregs.dr7;
}

// ---- floating point and vectors ----

XsaveArea to_xsave(const State& state, const x86::Model& model) {
    XsaveArea bytes{};
    area::put_x87(bytes.data(), state.fp, area::Pointers::wide);
    store_le(&bytes[area::mxcsr_and_mask.offset], state.fp.mxcsr);
    area::put_lanes(&bytes[area::xmm_registers.offset], state.fp, 0, 16);
    std::uint64_t components = area::x87 | area::sse;
    if (model.has(x86::Feature::xsave) && model.has(x86::Feature::avx)) {
        area::put_lanes(&bytes[area::ymm_high_halves.offset], state.fp, 2, 16);
        components |= area::avx;
    }
    store_le(&bytes[area::xstate_bv.offset], components);
    return bytes;
}

void from_xsave(const XsaveArea& bytes, State& state) {
    const auto components = load_le<std::uint64_t>(&bytes[area::xstate_bv.offset]);
    area::take_x87(bytes.data(), state.fp, area::Pointers::wide);
    state.fp.mxcsr = load_le<std::uint32_t>(&bytes[area::mxcsr_and_mask.offset]);
    area::take_lanes(&bytes[area::xmm_registers.offset], state.fp, 0, 16);
    if (components & area::avx) {
        area::take_lanes(&bytes[area::ymm_high_halves.offset], state.fp, 2, 16);
    } else {
        for (auto& value : state.fp.ymm) {
            value.lanes[2] = value.lanes[3] = 0;
        }
    }
}

// ---- events ----

kvm_vcpu_events to_events(const State& state) {
    kvm_vcpu_events events{};
    events.interrupt.shadow = static_cast<std::uint8_t>((state.movss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
                                                        (state.sti_shadow ? KVM_X86_SHADOW_INT_STI : 0));
    events.nmi.masked = state.nmi_blocked;
    events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    return events;
}

void from_events(const kvm_vcpu_events& events, State& state) {
    state.movss_shadow = (events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0;
    state.sti_shadow = (events.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0;
    state.nmi_blocked = events.nmi.masked != 0;
}

bool event_under_way(const kvm_vcpu_events& events) {
    return events.exception.injected || events.exception.pending || events.interrupt.injected ||
           events.nmi.injected || events.nmi.pending;
}

} // namespace strata::cpu::kvm
