// State through the kernel's structures and back: nothing that all engines share is lost.
#include "cpu/kvm/msrs.hpp"
#include "cpu/kvm/registers.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/xsave_area.hpp"

#include <gtest/gtest.h>

namespace strata::cpu::kvm {
namespace {

using x86::State;

const x86::Model& model() { return **x86::find_model("max"); }

TEST(KvmRegisters, GeneralOnesKeepTheirPlaces) {
    State state;
    for (std::size_t i = 0; i < state.gpr.size(); ++i) {
        state.gpr[i] = 0x1000 + i;
    }
    state.rip = 0xFFFF'8000'0000'1234;
    state.rflags = x86::flag::fixed | x86::flag::cf | x86::flag::if_;
    const kvm_regs regs = to_regs(state);
    EXPECT_EQ(regs.rsp, 0x1000U + x86::rsp);
    EXPECT_EQ(regs.r15, 0x100FU);
    State back;
    from_regs(regs, back);
    EXPECT_EQ(back.gpr, state.gpr);
    EXPECT_EQ(back.rip, state.rip);
    EXPECT_EQ(back.rflags, state.rflags);
}

TEST(KvmRegisters, SystemStateAndItsHiddenParts) {
    State state;
    auto& system = state.system;
    system.cr0 = 0x8005'0033;
    system.cr2 = 1;
    system.cr3 = 0x2000;
    system.cr4 = 0x6F0;
    system.efer = 0xD01;
    for (std::size_t i = 0; i < system.segments.size(); ++i) {
        system.segments[i] = {.selector = static_cast<std::uint16_t>(8 * i),
                              .base = 0x1'0000 * i,
                              .limit = 0xFFFF'FFFF,
                              .attributes = static_cast<std::uint16_t>(0xA09B ^ i << 12),
                              .unusable = i == x86::fs};
    }
    system.tr = {.selector = 0x40, .base = 0xFFFF'8000'0000'0000, .limit = 0x67, .attributes = 0x8B};
    system.ldtr = {.selector = 0, .limit = 0, .attributes = 0x82};
    system.gdtr = {.base = 0x5000, .limit = 0x7F};
    system.idtr = {.base = 0x6000, .limit = 0xFFF};
    kvm_sregs current{};
    current.cr8 = 5;
    current.apic_base = 0xFEE0'0900;
    const kvm_sregs sregs = to_sregs(state, current);
    EXPECT_EQ(sregs.cr8, 5U) << "the board's";
    EXPECT_EQ(sregs.apic_base, 0xFEE0'0900U);
    State back;
    from_sregs(sregs, back);
    EXPECT_EQ(back.system, state.system);
}

TEST(KvmRegisters, FloatingPointAndVectors) {
    State state;
    auto& fp = state.fp;
    fp.fcw = 0x027F;
    fp.fsw = 3 << 11; // TOP
    fp.abridged_tag = 0x55;
    fp.fip = 0x7FFF'1234'5678;
    fp.mxcsr = 0x1FA0;
    for (unsigned i = 0; i < 8; ++i) {
        fp.physical[i] = {.significand = 0x8000'0000'0000'0000 + i,
                          .sign_exponent = static_cast<std::uint16_t>(0x3FFF + i)};
    }
    for (unsigned i = 0; i < 16; ++i) {
        fp.ymm[i].lanes = {i, i + 100, i + 200, i + 300};
    }
    State back;
    from_xsave(to_xsave(state, model()), back);
    EXPECT_EQ(back.fp, state.fp);

    auto initial = to_xsave(state, model());
    store_le(&initial[x86::xsave_area::xstate_bv.offset], x86::xsave_area::x87 | x86::xsave_area::sse);
    from_xsave(initial, back);
    EXPECT_EQ(back.fp.ymm[3].lanes, (std::array<std::uint64_t, 4>{3, 103, 0, 0}))
        << "AVX in its initial state";
}

TEST(KvmRegisters, ShadowsAndWhatIsOnItsWay) {
    State state;
    state.sti_shadow = true;
    state.nmi_blocked = true;
    auto events = to_events(state);
    State back;
    from_events(events, back);
    EXPECT_EQ(back, state);
    EXPECT_FALSE(event_under_way(events));
    events.interrupt.injected = 1;
    EXPECT_TRUE(event_under_way(events));
}

TEST(KvmMsrs, OnlyThoseOfTheModelAndAllOfThem) {
    State state;
    state.system.lstar = 0xFFFF'FFFF'8100'0000;
    state.system.pat = 0x0007'0106'0007'0106;
    state.system.mtrr_fixed[10] = 0x0606'0606'0606'0606;
    state.system.mtrr_variable[3] = 0xFF'C000'0800;
    state.system.tsc_adjust = 77;
    const auto entries = to_msrs(state, model());
    State back;
    from_msrs(entries, back);
    EXPECT_EQ(back.system, state.system);

    const auto few = to_msrs(state, **x86::find_model("pentium"));
    EXPECT_TRUE(few.empty()) << "a Pentium has none of these";
}

} // namespace
} // namespace strata::cpu::kvm
