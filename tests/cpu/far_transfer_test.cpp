// Far jumps, calls and returns: direct, through gates, between privileges.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::SystemType;

class FarTransfers : public SystemTest {
protected:
    Raised jump(std::uint16_t to, std::uint64_t offset, unsigned bytes = 4) {
        return fault_of([&] { cpu.far_jump(to, offset, bytes); });
    }

    Raised call(std::uint16_t to, std::uint64_t offset, unsigned bytes = 4) {
        return fault_of([&] { cpu.far_call(to, offset, bytes); });
    }

    Raised ret(unsigned bytes = 4, std::uint16_t release = 0) {
        return fault_of([&] { cpu.far_return(bytes, release); });
    }

    void expect_at(std::uint16_t cs, std::uint64_t rip, unsigned cpl) {
        EXPECT_EQ(selector(x86::cs), cs);
        EXPECT_EQ(cpu.rip(), rip);
        EXPECT_EQ(cpu.cpl(), cpl);
    }
};

// ---- real mode ----

TEST_F(FarTransfers, RealModeCallAndReturn) {
    cpu.system.segments[x86::cs].base = 0x10000;
    cpu.system.segments[x86::cs].selector = 0x1000;
    cpu.rip() = 0x234;
    cpu.regs[x86::rsp] = 0x8000;
    EXPECT_EQ(call(0x4321, 0x10, 2), none);
    expect_at(0x4321, 0x10, 0);
    EXPECT_EQ(cpu.system.segments[x86::cs].base, 0x43210U);
    EXPECT_EQ(read<std::uint32_t>(0x7FFC), 0x1000'0234U);
    EXPECT_EQ(ret(2, 6), none);
    expect_at(0x1000, 0x234, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], 0x8006U);
    EXPECT_EQ(jump(0, 0x10000), gp()) << "beyond the limit of 64 KiB";
}

// ---- direct, protected mode ----

TEST_F(FarTransfers, JumpWithinOnePrivilege) {
    enter_protected(3);
    EXPECT_EQ(jump(code3, 0x1234), none);
    expect_at(code3, 0x1234, 3);
    EXPECT_EQ(jump(code3 & ~3, 0xFFFF'5678, 2), none);
    expect_at(code3, 0x5678, 3);
    EXPECT_EQ(jump(conforming0, 0x42), none);
    expect_at(conforming0 | 3, 0x42, 3);
}

TEST_F(FarTransfers, JumpChecks) {
    enter_protected(3);
    EXPECT_EQ(jump(0, 0), gp(0));
    EXPECT_EQ(jump(0x100, 0), gp(0x100));
    EXPECT_EQ(jump(code0, 0), gp(code0)) << "more privileged code";
    EXPECT_EQ(jump(data3, 0), gp(data3 & ~3)) << "data";
    set_gdt(free1, not_present(segment_descriptor(code_type, 3, Size::bits32)));
    EXPECT_EQ(jump(free1, 0), np(free1));
    set_gdt(free1, segment_descriptor(code_type, 3, Size::bits16));
    EXPECT_EQ(jump(free1, 0x10'0000), gp(0)) << "beyond the segment's limit";
    expect_at(code3, 0x7000, 3);
}

TEST_F(FarTransfers, CallPushesTheReturnAddress) {
    enter_protected(0);
    EXPECT_EQ(call(code0, 0x1111), none);
    expect_at(code0, 0x1111, 0);
    EXPECT_EQ(read<std::uint32_t>(stack0 - 4), code0);
    EXPECT_EQ(read<std::uint32_t>(stack0 - 8), 0x7000U);
    EXPECT_EQ(ret(), none);
    expect_at(code0, 0x7000, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
}

TEST_F(FarTransfers, ACallThatFaultsLeavesNothingChanged) {
    enter_protected(0);
    cpu.system.segments[x86::ss].limit = stack0 - 6;
    cpu.segment_changed(x86::ss);
    EXPECT_EQ(call(code0, 0x1111), ss(0));
    expect_at(code0, 0x7000, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
}

// ---- call gates ----

TEST_F(FarTransfers, GateToTheSamePrivilege) {
    enter_protected(3);
    set_gdt(free1, gate(SystemType::call_gate32, code3, 0x0001'2345, 3));
    EXPECT_EQ(call(free1, 0xDEAD), none);
    expect_at(code3, 0x12345, 3);
    EXPECT_EQ(read<std::uint32_t>(stack3 - 8), 0x7000U);
    EXPECT_EQ(jump(free1, 0), none);
    expect_at(code3, 0x12345, 3);
}

TEST_F(FarTransfers, GateToAnInnerPrivilegeSwitchesTheStackAndCopiesParameters) {
    enter_protected(3);
    set_gdt(free1, gate(SystemType::call_gate32, code0, 0x1000, 3, 2));
    write<std::uint32_t>(stack3 - 8, 0x1111);
    write<std::uint32_t>(stack3 - 4, 0x2222);
    cpu.regs[x86::rsp] = stack3 - 8;
    EXPECT_EQ(call(free1 | 3, 0), none);
    expect_at(code0, 0x1000, 0);
    EXPECT_EQ(selector(x86::ss), data0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 24);
    const std::uint32_t expected[] = {0x7000, code3, 0x1111, 0x2222, stack3 - 8, data3};
    for (unsigned i = 0; i < 6; ++i) {
        EXPECT_EQ(read<std::uint32_t>(stack0 - 24 + i * 4), expected[i]) << i;
    }
    EXPECT_EQ(ret(4, 8), none);
    expect_at(code3, 0x7000, 3);
    EXPECT_EQ(selector(x86::ss), data3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
}

TEST_F(FarTransfers, SixteenBitGate) {
    enter_protected(3);
    set_gdt(free1, gate(SystemType::call_gate16, code0, 0xFFFF'1000, 3, 1));
    write<std::uint16_t>(stack3, 0x1111);
    EXPECT_EQ(call(free1, 0), none);
    expect_at(code0, 0x1000, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 10);
    EXPECT_EQ(read<std::uint16_t>(stack0 - 10), 0x7000);
    EXPECT_EQ(read<std::uint16_t>(stack0 - 6), 0x1111);
    EXPECT_EQ(ret(2, 2), none);
    expect_at(code3, 0x7000, 3);
}

TEST_F(FarTransfers, GateChecks) {
    enter_protected(3);
    set_gdt(free1, gate(SystemType::call_gate32, code0, 0, 0));
    EXPECT_EQ(call(free1, 0), gp(free1)) << "gate's DPL";
    set_gdt(free1, not_present(gate(SystemType::call_gate32, code0, 0, 3)));
    EXPECT_EQ(call(free1, 0), np(free1));
    set_gdt(free1, gate(SystemType::call_gate32, 0, 0, 3));
    EXPECT_EQ(call(free1, 0), gp(0)) << "null target";
    set_gdt(free1, gate(SystemType::call_gate32, data0, 0, 3));
    EXPECT_EQ(call(free1, 0), gp(data0));
    set_gdt(free1, gate(SystemType::call_gate32, code0, 0, 3));
    EXPECT_EQ(jump(free1, 0), gp(code0)) << "a jump cannot change privilege";
    set_gdt(free1, gate(SystemType::interrupt_gate32, code0, 0, 3));
    EXPECT_EQ(call(free1, 0), gp(free1)) << "no call gate";
}

TEST_F(FarTransfers, InnerStackChecks) {
    enter_protected(3);
    set_gdt(free1, gate(SystemType::call_gate32, code0, 0, 3));
    write<std::uint16_t>(tss + 8, 0);
    EXPECT_EQ(call(free1, 0), ts(0));
    write<std::uint16_t>(tss + 8, data3);
    EXPECT_EQ(call(free1, 0), ts(data3 & ~3));
    write<std::uint16_t>(tss + 8, code0);
    EXPECT_EQ(call(free1, 0), ts(code0));
    set_gdt(free2, not_present(segment_descriptor(data_type, 0, Size::bits32)));
    write<std::uint16_t>(tss + 8, free2);
    EXPECT_EQ(call(free1, 0), ss(free2));
    write<std::uint16_t>(tss + 8, data0);
    cpu.system.tr.limit = 8;
    EXPECT_EQ(call(free1, 0), ts(task));
    cpu.system.tr.limit = 0x67;
    set_gdt(free2,
            system_descriptor(static_cast<SystemType>(data_type), 0, stack0 - 10) | std::uint64_t{1} << 44);
    write<std::uint16_t>(tss + 8, free2);
    EXPECT_EQ(call(free1, 0), ss(free2)) << "no room";
    expect_at(code3, 0x7000, 3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
}

TEST_F(FarTransfers, ConformingGateTargetKeepsThePrivilege) {
    enter_protected(3);
    set_gdt(free1, gate(SystemType::call_gate32, conforming0, 0x10, 3));
    EXPECT_EQ(call(free1, 0), none);
    expect_at(conforming0 | 3, 0x10, 3);
}

// ---- returns ----

TEST_F(FarTransfers, ReturnToOuterPrivilegeDropsPrivilegedSegments) {
    enter_protected(0);
    cpu.load_segment(x86::es, data3);
    cpu.load_segment(x86::fs, conforming0);
    cpu.push(data3, 4);
    cpu.push(stack3, 4);
    cpu.push(code3, 4);
    cpu.push(0x5000, 4);
    EXPECT_EQ(ret(), none);
    expect_at(code3, 0x5000, 3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
    EXPECT_TRUE(cpu.system.segments[x86::ds].unusable);
    EXPECT_FALSE(cpu.system.segments[x86::es].unusable);
    EXPECT_FALSE(cpu.system.segments[x86::fs].unusable) << "conforming code";
}

TEST_F(FarTransfers, ReturnChecks) {
    enter_protected(3);
    const auto return_to = [&](std::uint16_t to) {
        enter_privilege(3);
        cpu.push(to, 4);
        cpu.push(0x5000, 4);
        const Raised raised = ret();
        EXPECT_EQ(cpu.regs[x86::rsp], raised ? stack3 - 8 : stack3);
        return raised;
    };
    EXPECT_EQ(return_to(0), gp(0));
    EXPECT_EQ(return_to(code0), gp(code0)) << "inward";
    EXPECT_EQ(return_to(data3), gp(data3 & ~3));
    EXPECT_EQ(return_to(code3), none);
}

TEST_F(FarTransfers, ReturnToOuterChecksTheStack) {
    enter_protected(0);
    const auto return_with_stack = [&](std::uint16_t stack) {
        enter_privilege(0);
        cpu.push(stack, 4);
        cpu.push(stack3, 4);
        cpu.push(code3, 4);
        cpu.push(0x5000, 4);
        return ret();
    };
    EXPECT_EQ(return_with_stack(0), gp(0));
    EXPECT_EQ(return_with_stack(data0), gp(data0));
    EXPECT_EQ(return_with_stack(data3 & ~3), gp(data3 & ~3));
    expect_at(code0, 0x7000, 0);
}

// ---- IA-32e mode ----

TEST_F(FarTransfers, LongModeJumpBetweenSubmodes) {
    enter_long(0);
    EXPECT_TRUE(cpu.code64());
    EXPECT_EQ(jump(code0, 0x1000), none);
    EXPECT_FALSE(cpu.code64()) << "compatibility mode";
    EXPECT_EQ(jump(wide_code0, 0x2000), none);
    EXPECT_TRUE(cpu.code64());
    set_gdt(free1, segment_descriptor(code_type, 0, Size::bits64) | std::uint64_t{1} << 54);
    EXPECT_EQ(jump(free1, 0), gp(free1)) << "L and D";
    EXPECT_EQ(jump(wide_code0, 0x8000'0000'0000, 8), gp(0)) << "not canonical";
}

TEST_F(FarTransfers, LongModeCallGate) {
    enter_long(3, false);
    cpu.system.segments[x86::cs] = x86::Descriptor{read<std::uint64_t>(gdt + (code3 & ~7))}.segment(code3);
    cpu.mode_changed();
    set_gdt(free1, gate(SystemType::call_gate32, wide_code0, 0x1000, 3), 0);
    EXPECT_EQ(call(free1, 0), none);
    expect_at(wide_code0, 0x1000, 0);
    EXPECT_TRUE(cpu.code64());
    EXPECT_TRUE(cpu.system.segments[x86::ss].unusable);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 32);
    EXPECT_EQ(read<std::uint64_t>(stack0 - 8), data3);
    EXPECT_EQ(read<std::uint64_t>(stack0 - 16), stack3);
    EXPECT_EQ(read<std::uint64_t>(stack0 - 24), code3);
    EXPECT_EQ(read<std::uint64_t>(stack0 - 32), 0x7000U);
    EXPECT_EQ(ret(8), none);
    expect_at(code3, 0x7000, 3);
    EXPECT_FALSE(cpu.code64());
}

TEST_F(FarTransfers, LongModeHasNo16BitGatesAndNoTasks) {
    enter_long(0);
    set_gdt(free1, gate(SystemType::call_gate16, wide_code0, 0), 0);
    EXPECT_EQ(jump(free1, 0), gp(free1));
    set_gdt(free1, gate(SystemType::task_gate, task, 0), 0);
    EXPECT_EQ(jump(free1, 0), gp(free1));
    set_gdt(free1, system_descriptor(SystemType::tss32_available, other_tss, 0x67), 0);
    EXPECT_EQ(jump(free1, 0), gp(free1));
    set_gdt(free1, gate(SystemType::call_gate32, code0, 0), 0);
    EXPECT_EQ(jump(free1, 0), gp(code0)) << "a gate leads to 64-bit code";
}

} // namespace
} // namespace strata::cpu::interpreter
