// Delivery of interrupts and exceptions in every mode, and the returns from them.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::SystemType;
using x86::Vector;
using Kind = Cpu::EventKind;

namespace flag = x86::flag;

class Interrupts : public SystemTest {
protected:
    void deliver(Vector vector, std::uint32_t error = 0) {
        cpu.deliver(static_cast<std::uint8_t>(vector), Kind::exception, error);
    }

    Raised software(std::uint8_t vector) {
        return fault_of([&] { cpu.deliver(vector, Kind::software); });
    }

    Raised iret(unsigned bytes) {
        return fault_of([&] { cpu.interrupt_return(bytes); });
    }

    void expect_at(std::uint16_t cs, std::uint64_t rip, unsigned cpl) {
        EXPECT_EQ(selector(x86::cs), cs);
        EXPECT_EQ(cpu.rip(), rip);
        EXPECT_EQ(cpu.cpl(), cpl);
    }

    template <class T>
    void expect_stack(std::initializer_list<std::uint64_t> values) {
        std::uint64_t address = cpu.regs[x86::rsp];
        for (const std::uint64_t value : values) {
            EXPECT_EQ(read<T>(address), value) << "at " << address;
            address += sizeof(T);
        }
    }
};

// ---- real mode ----

TEST_F(Interrupts, RealMode) {
    cpu.system.idtr = {0, 0x3FF};
    cpu.regs[x86::rsp] = 0x8000;
    cpu.system.segments[x86::cs] = {.selector = 0x1000, .base = 0x10000, .attributes = 0x9B};
    cpu.rip() = 0x1234;
    cpu.set_rflags(flag::if_ | flag::tf | flag::cf | flag::fixed);
    write<std::uint32_t>(0x21 * 4, 0x2000'0042);
    EXPECT_EQ(software(0x21), none);
    expect_at(0x2000, 0x42, 0);
    expect_stack<std::uint16_t>({0x1234, 0x1000, 0x303});
    EXPECT_EQ(cpu.rflags(), flag::cf | flag::fixed);
    EXPECT_EQ(iret(2), none);
    expect_at(0x1000, 0x1234, 0);
    EXPECT_EQ(cpu.rflags(), 0x303U);
}

TEST_F(Interrupts, RealModeTableTooShort) {
    cpu.system.idtr = {0, 0x80};
    EXPECT_EQ(software(0x21), gp(0x21 * 8 + 2));
    cpu.system.idtr = {0, 8};
    deliver(Vector::invalid_opcode);
    EXPECT_EQ(cpu.activity, x86::Activity::shutdown) << "not even the double fault has an entry";
}

// ---- protected mode ----

TEST_F(Interrupts, SamePrivilege) {
    enter_protected(0);
    set_idt(13, gate(SystemType::interrupt_gate32, code0, 0x0012'3456));
    cpu.set_rflags(flag::if_ | flag::nt | flag::fixed);
    deliver(Vector::general_protection, 0xABCD);
    expect_at(code0, 0x123456, 0);
    expect_stack<std::uint32_t>({0xABCD, 0x7000, code0, flag::if_ | flag::nt | flag::rf | flag::fixed});
    EXPECT_EQ(cpu.rflags(), flag::fixed);
    static_cast<void>(cpu.pop(4));
    EXPECT_EQ(iret(4), none);
    expect_at(code0, 0x7000, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
    EXPECT_EQ(cpu.rflags(), flag::if_ | flag::nt | flag::rf | flag::fixed);
}

TEST_F(Interrupts, TrapGateKeepsInterruptsEnabled) {
    enter_protected(0);
    set_idt(3, gate(SystemType::trap_gate32, code0, 0x100));
    cpu.set_rflags(flag::if_ | flag::fixed);
    EXPECT_EQ(software(3), none);
    EXPECT_EQ(cpu.rflags(), flag::if_ | flag::fixed);
    expect_stack<std::uint32_t>({0x7000, code0, flag::if_ | flag::fixed});
}

TEST_F(Interrupts, InnerPrivilegeAndBack) {
    enter_protected(3);
    set_idt(0x80, gate(SystemType::interrupt_gate32, code0, 0x100, 3));
    cpu.set_rflags(flag::if_ | flag::fixed);
    EXPECT_EQ(software(0x80), none);
    expect_at(code0, 0x100, 0);
    EXPECT_EQ(selector(x86::ss), data0);
    expect_stack<std::uint32_t>({0x7000, code3, flag::if_ | flag::fixed, stack3, data3});
    EXPECT_EQ(iret(4), none);
    expect_at(code3, 0x7000, 3);
    EXPECT_EQ(selector(x86::ss), data3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
    EXPECT_EQ(cpu.rflags(), flag::if_ | flag::fixed);
}

TEST_F(Interrupts, SixteenBitGate) {
    enter_protected(3);
    set_idt(0x20, gate(SystemType::interrupt_gate16, code0, 0xFFFF'0100));
    cpu.deliver(0x20, Kind::external);
    expect_at(code0, 0x100, 0);
    expect_stack<std::uint16_t>({0x7000, code3, flag::fixed, stack3 & 0xFFFF, data3});
}

TEST_F(Interrupts, GateChecksOfSoftwareInterrupts) {
    enter_protected(3);
    set_idt(0x80, gate(SystemType::interrupt_gate32, code0, 0x100, 0));
    EXPECT_EQ(software(0x80), gp(0x80 * 8 + 2)) << "gate's DPL";
    cpu.deliver(0x80, Kind::external);
    expect_at(code0, 0x100, 0);
    enter_privilege(3);
    set_idt(0x80, gate(SystemType::call_gate32, code0, 0x100, 3));
    EXPECT_EQ(software(0x80), gp(0x80 * 8 + 2)) << "type";
    set_idt(0x80, not_present(gate(SystemType::interrupt_gate32, code0, 0x100, 3)));
    EXPECT_EQ(software(0x80), np(0x80 * 8 + 2));
    set_idt(0x80, gate(SystemType::interrupt_gate32, 0, 0x100, 3));
    EXPECT_EQ(software(0x80), gp(0));
    set_idt(0x80, gate(SystemType::interrupt_gate32, data0, 0x100, 3));
    EXPECT_EQ(software(0x80), gp(data0));
    set_idt(0x80, gate(SystemType::interrupt_gate32, code0, 0x100, 3));
    write<std::uint16_t>(tss + 8, 0);
    EXPECT_EQ(software(0x80), ts(0));
    cpu.system.idtr.limit = 0x80 * 8 + 6;
    EXPECT_EQ(software(0x80), gp(0x80 * 8 + 2)) << "limit";
    expect_at(code3, 0x7000, 3);
}

TEST_F(Interrupts, FaultInDeliveryIsMarkedExternal) {
    enter_protected(0);
    set_idt(0x20, gate(SystemType::interrupt_gate32, data0, 0x100));
    set_idt(13, gate(SystemType::interrupt_gate32, code0, 0x200));
    cpu.deliver(0x20, Kind::external);
    expect_at(code0, 0x200, 0);
    expect_stack<std::uint32_t>({data0 | 1, 0x7000, code0});
}

TEST_F(Interrupts, DoubleFault) {
    enter_protected(0);
    set_idt(13, gate(SystemType::interrupt_gate32, data0, 0x100)); // no code segment
    set_idt(8, gate(SystemType::interrupt_gate32, code0, 0x300));
    deliver(Vector::general_protection, 0x1234);
    expect_at(code0, 0x300, 0);
    expect_stack<std::uint32_t>({0, 0x7000, code0, flag::fixed});
}

TEST_F(Interrupts, FaultsAfterBenignOnesComeOneByOne) {
    enter_protected(0);
    set_idt(6, gate(SystemType::interrupt_gate32, data0, 0x100));
    set_idt(13, gate(SystemType::interrupt_gate32, code0, 0x300));
    deliver(Vector::invalid_opcode);
    expect_at(code0, 0x300, 0);
    expect_stack<std::uint32_t>({data0 | 1, 0x7000, code0});
}

TEST_F(Interrupts, TripleFaultShutsDown) {
    enter_protected(0);
    deliver(Vector::divide_error); // absent gates: #NP, #DF, shutdown
    EXPECT_EQ(cpu.activity, x86::Activity::shutdown);
}

TEST_F(Interrupts, Int1IsNotHeldBackByTheGatesPrivilege) {
    enter_protected(3);
    set_idt(1, gate(SystemType::interrupt_gate32, code0, 0x100, 0));
    EXPECT_EQ(fault_of([&] { cpu.deliver(1, Kind::software_privileged); }), none);
    expect_at(code0, 0x100, 0);
}

TEST_F(Interrupts, DebugExceptionsUnlockTheDebugRegisters) {
    enter_protected(0);
    set_idt(1, gate(SystemType::interrupt_gate32, code0, 0x100));
    cpu.system.dr7 |= x86::dr7::gd;
    deliver(Vector::debug);
    EXPECT_EQ(cpu.system.dr7 & x86::dr7::gd, 0U);
    expect_stack<std::uint32_t>({0x7000, code0, flag::fixed});
}

TEST_F(Interrupts, NmiBlocksNmisUntilIret) {
    enter_protected(0);
    set_idt(2, gate(SystemType::interrupt_gate32, code0, 0x100));
    cpu.deliver(2, Kind::nmi);
    EXPECT_TRUE(cpu.nmi_blocked);
    EXPECT_EQ(iret(4), none);
    EXPECT_FALSE(cpu.nmi_blocked);
}

TEST_F(Interrupts, IretAtUserPrivilegeChangesNoPrivilegedFlags) {
    enter_protected(3);
    cpu.push(flag::if_ | flag::iopl | flag::cf | flag::vip | flag::vif, 4);
    cpu.push(code3, 4);
    cpu.push(0x1000, 4);
    EXPECT_EQ(iret(4), none);
    EXPECT_EQ(cpu.rflags(), flag::cf | flag::fixed);
}

// ---- virtual-8086 mode ----

TEST_F(Interrupts, OutOfVirtual8086ModeAndBack) {
    enter_v86(3);
    set_idt(0x21, gate(SystemType::interrupt_gate32, code0, 0x100, 3));
    EXPECT_EQ(software(0x21), none);
    expect_at(code0, 0x100, 0);
    EXPECT_FALSE(cpu.v86());
    expect_stack<std::uint32_t>(
        {0x123, 0x701, flag::vm | flag::iopl | flag::fixed, 0x1000, 0x702, 0x700, 0x703, 0x704, 0x705});
    for (const unsigned index : {x86::es, x86::ds, x86::fs, x86::gs}) {
        EXPECT_TRUE(cpu.system.segments[index].unusable);
    }
    EXPECT_EQ(iret(4), none);
    EXPECT_TRUE(cpu.v86());
    expect_at(0x701, 0x123, 3);
    EXPECT_EQ(cpu.regs[x86::rsp], 0x1000U);
    for (unsigned i = 0; i < 6; ++i) {
        EXPECT_EQ(cpu.system.segments[i], x86::v86_segment(static_cast<std::uint16_t>(0x700 + i)));
    }
}

TEST_F(Interrupts, Virtual8086ModeIsLeftForPrivilegeZeroOnly) {
    enter_v86(3);
    set_idt(0x21, gate(SystemType::interrupt_gate32, code3, 0x100, 3));
    EXPECT_EQ(software(0x21), gp(code3 & ~3));
    set_idt(0x21, gate(SystemType::interrupt_gate32, conforming0, 0x100, 3));
    EXPECT_EQ(software(0x21), gp(conforming0));
    EXPECT_TRUE(cpu.v86());
}

TEST_F(Interrupts, IretInVirtual8086ModeNeedsIopl) {
    enter_v86(0);
    EXPECT_EQ(iret(2), gp(0));
    enter_v86(3);
    cpu.push(flag::if_, 2);
    cpu.push(0x1234, 2);
    cpu.push(0x56, 2);
    EXPECT_EQ(iret(2), none);
    expect_at(0x1234, 0x56, 3);
    EXPECT_EQ(cpu.rflags(), flag::vm | flag::iopl | flag::if_ | flag::fixed) << "IOPL stays";
}

TEST_F(Interrupts, VirtualInterruptFlagInIret) {
    enter_v86(0);
    cpu.system.cr4 |= x86::cr4::vme;
    cpu.push(flag::if_, 2);
    cpu.push(0x1234, 2);
    cpu.push(0x56, 2);
    EXPECT_EQ(iret(4), gp(0)) << "a 32-bit IRET is not helped";
    EXPECT_EQ(iret(2), none);
    EXPECT_EQ(cpu.rflags(), flag::vm | flag::vif | flag::fixed);
    cpu.regs[x86::rsp] = 0x1000 - 6;
    cpu.set_rflags(cpu.rflags() | flag::vip);
    EXPECT_EQ(iret(2), gp(0)) << "an interrupt waits";
}

// ---- tasks ----

TEST_F(Interrupts, TaskGateSwitchesTasksWithTheErrorCode) {
    enter_protected(3);
    set_gdt(free1, system_descriptor(SystemType::tss32_available, other_tss, 0x67));
    set_idt(13, gate(SystemType::task_gate, free1, 0));
    write<std::uint32_t>(other_tss + 0x20, 0x6000);
    write<std::uint32_t>(other_tss + 0x24, flag::fixed);
    write<std::uint32_t>(other_tss + 0x38, interrupt_stack);
    write<std::uint16_t>(other_tss + 0x4C, code0);
    write<std::uint16_t>(other_tss + 0x50, data0);
    deliver(Vector::general_protection, 0x77);
    expect_at(code0, 0x6000, 0);
    expect_stack<std::uint32_t>({0x77});
    EXPECT_EQ(cpu.regs[x86::rsp], interrupt_stack - 4);
    EXPECT_TRUE(cpu.other_flags & flag::nt);
    EXPECT_EQ(read<std::uint16_t>(other_tss), task) << "back link";
    EXPECT_EQ(iret(4), none);
    expect_at(code3, 0x7000, 3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
}

// ---- IA-32e mode ----

TEST_F(Interrupts, LongModeAlignsTheFrame) {
    enter_long(0);
    set_idt(14, gate(SystemType::interrupt_gate32, wide_code0, 0x1000), 0x1234);
    cpu.regs[x86::rsp] = stack0 - 3;
    cpu.set_rflags(flag::if_ | flag::fixed);
    deliver(Vector::page_fault, 5);
    expect_at(wide_code0, 0x1234'0000'1000, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 16 - 48);
    expect_stack<std::uint64_t>(
        {5, 0x7000, wide_code0, flag::if_ | flag::rf | flag::fixed, stack0 - 3, data0});
    EXPECT_EQ(selector(x86::ss), data0) << "the stack segment stays without a change of privilege";
    static_cast<void>(cpu.pop(8));
    EXPECT_EQ(iret(8), none);
    expect_at(wide_code0, 0x7000, 0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 3);
}

TEST_F(Interrupts, LongModeFromUserPrivilege) {
    enter_long(3);
    set_idt(0x80, gate(SystemType::trap_gate32, wide_code0, 0x1000, 3), 0);
    EXPECT_EQ(software(0x80), none);
    expect_at(wide_code0, 0x1000, 0);
    EXPECT_TRUE(cpu.system.segments[x86::ss].unusable);
    EXPECT_EQ(selector(x86::ss), 0);
    expect_stack<std::uint64_t>({0x7000, wide_code3, flag::fixed, stack3, data3});
    EXPECT_EQ(iret(8), none);
    expect_at(wide_code3, 0x7000, 3);
    EXPECT_EQ(selector(x86::ss), data3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
}

TEST_F(Interrupts, LongModeFromCompatibilityModeAndBack) {
    enter_long(3, false);
    set_idt(0x80, gate(SystemType::trap_gate32, wide_code0, 0x1000, 3), 0);
    EXPECT_EQ(software(0x80), none);
    EXPECT_TRUE(cpu.code64());
    expect_stack<std::uint64_t>({0x7000, code3, flag::fixed, stack3, data3});
    EXPECT_EQ(iret(8), none);
    EXPECT_FALSE(cpu.code64());
    expect_at(code3, 0x7000, 3);
}

TEST_F(Interrupts, InterruptStackTable) {
    enter_long(0);
    write<std::uint64_t>(tss + 36 + 8, interrupt_stack + 8); // IST2
    set_idt(8, gate(SystemType::interrupt_gate32, wide_code0, 0x1000, 0, 2), 0);
    deliver(Vector::double_fault);
    EXPECT_EQ(cpu.regs[x86::rsp], interrupt_stack - 48);
    expect_stack<std::uint64_t>({0, 0x7000, wide_code0, flag::fixed, stack0, data0});
}

TEST_F(Interrupts, LongModeGateChecks) {
    enter_long(3);
    set_idt(0x80, gate(SystemType::interrupt_gate16, wide_code0, 0x1000, 3), 0);
    EXPECT_EQ(software(0x80), gp(0x80 * 8 + 2));
    set_idt(0x80, gate(SystemType::interrupt_gate32, code0, 0x1000, 3), 0);
    EXPECT_EQ(software(0x80), gp(code0)) << "32-bit code";
    set_idt(0x80, gate(SystemType::interrupt_gate32, wide_code0, 0x1000, 3), 0x8000);
    EXPECT_EQ(software(0x80), gp(0)) << "not canonical";
    set_idt(0x80, gate(SystemType::interrupt_gate32, wide_code0, 0x1000, 3), 0);
    write<std::uint64_t>(tss + 4, 0x8000'0000'0000'0000);
    EXPECT_EQ(software(0x80), ss(0)) << "stack not canonical";
    cpu.system.idtr.limit = 0x80 * 16 + 14;
    EXPECT_EQ(software(0x80), gp(0x80 * 8 + 2));
    expect_at(wide_code3, 0x7000, 3);
}

TEST_F(Interrupts, IretInLongModeRefusesNestedTasks) {
    enter_long(0);
    cpu.set_rflags(flag::nt | flag::fixed);
    EXPECT_EQ(iret(8), gp(0));
}

TEST_F(Interrupts, IretToNullStackAtPrivilegeZero) {
    enter_long(0);
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{stack0}, flag::fixed + 0,
                                      std::uint64_t{wide_code0}, std::uint64_t{0x5000}}) {
        cpu.push(value, 8);
    }
    EXPECT_EQ(iret(8), none);
    expect_at(wide_code0, 0x5000, 0);
    EXPECT_TRUE(cpu.system.segments[x86::ss].unusable);
}

} // namespace
} // namespace strata::cpu::interpreter
