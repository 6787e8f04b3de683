// What the kernel is asked for a debugger's stops.
#include "cpu/kvm/guest_debug.hpp"

#include <gtest/gtest.h>

namespace strata::cpu::kvm {
namespace {

TEST(KvmGuestDebug, RegistersAreToldOnce) {
    GuestDebug debug;
    debug.set({.breakpoints = {0x1000}});
    const auto request = debug.request();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->control, std::uint32_t{KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP});
    EXPECT_EQ(request->arch.debugreg[0], 0x1000U);
    EXPECT_FALSE(debug.request());
}

TEST(KvmGuestDebug, EveryStepIsAskedFor) {
    GuestDebug debug;
    debug.set({.single_step = true});
    for (int step = 0; step < 3; ++step) {
        const auto request = debug.request();
        ASSERT_TRUE(request) << step;
        EXPECT_NE(request->control & KVM_GUESTDBG_SINGLESTEP, 0U);
        EXPECT_TRUE(debug.stopped({.exception = 1, .pad = 0, .pc = 0x1000, .dr6 = 0, .dr7 = 0}));
    }
}

TEST(KvmGuestDebug, MoreBreakpointsThanRegistersAreFoundBySteps) {
    GuestDebug debug;
    debug.set({.breakpoints = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000}});
    const auto request = debug.request();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->control, std::uint32_t{KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP});
    EXPECT_FALSE(debug.stopped({.exception = 1, .pad = 0, .pc = 0x1001, .dr6 = 0, .dr7 = 0}));
    EXPECT_TRUE(debug.stopped({.exception = 1, .pad = 0, .pc = 0x5000, .dr6 = 0, .dr7 = 0}));
    EXPECT_EQ(debug.event().kind, DebugEvent::Kind::breakpoint);
    EXPECT_EQ(debug.event().address, 0x5000U);
}

} // namespace
} // namespace strata::cpu::kvm
