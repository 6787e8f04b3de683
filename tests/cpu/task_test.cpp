// Task switches by JMP, CALL, IRET and gates, with their checks.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::SystemType;

namespace flag = x86::flag;

class Tasks : public SystemTest {
protected:
    // Another 32-bit task at privilege 0, whose descriptor is free1.
    void make_task32() {
        set_gdt(free1, system_descriptor(SystemType::tss32_available, other_tss, 0x67));
        write<std::uint32_t>(other_tss + 0x20, 0x6000);
        write<std::uint32_t>(other_tss + 0x24, flag::fixed | flag::cf);
        for (std::uint32_t i = 0; i < 8; ++i) {
            write<std::uint32_t>(other_tss + 0x28 + i * 4, 0x1000 * (i + 1));
        }
        const std::uint16_t selectors[] = {data3, code0, data0, data0, 0, data3};
        for (std::uint32_t i = 0; i < 6; ++i) {
            write<std::uint32_t>(other_tss + 0x48 + i * 4, selectors[i]);
        }
        write<std::uint32_t>(other_tss + 0x60, 0);
        write<std::uint32_t>(other_tss + 0x64, 0);
    }

    unsigned type_of(std::uint16_t descriptor) {
        return read<std::uint8_t>(gdt + (descriptor & ~7U) + 5) & 0xFU;
    }

    Raised jump(std::uint16_t to) {
        return fault_of([&] { cpu.far_jump(to, 0, 4); });
    }

    Raised call(std::uint16_t to) {
        return fault_of([&] { cpu.far_call(to, 0, 4); });
    }
};

TEST_F(Tasks, JumpSavesTheOldAndLoadsTheNewTask) {
    enter_protected(0);
    make_task32();
    cpu.regs[x86::rbx] = 0xB0B;
    cpu.set_rflags(flag::fixed | flag::zf);
    EXPECT_EQ(jump(free1), none);
    EXPECT_EQ(cpu.rip(), 0x6000U);
    EXPECT_EQ(cpu.rflags(), flag::fixed | flag::cf);
    EXPECT_EQ(cpu.regs[x86::rax], 0x1000U);
    EXPECT_EQ(cpu.regs[x86::rsp], 0x5000U);
    EXPECT_EQ(selector(x86::es), data3);
    EXPECT_TRUE(cpu.system.segments[x86::fs].unusable);
    EXPECT_EQ(cpu.system.tr.selector, free1);
    EXPECT_TRUE(cpu.system.cr0 & x86::cr0::ts);
    EXPECT_EQ(type_of(task), 9U) << "the old one is available";
    EXPECT_EQ(type_of(free1), 0xBU) << "the new one is busy";
    EXPECT_EQ(read<std::uint32_t>(tss + 0x20), 0x7000U);
    EXPECT_EQ(read<std::uint32_t>(tss + 0x24), flag::fixed | flag::zf);
    EXPECT_EQ(read<std::uint32_t>(tss + 0x34), 0xB0BU);
    EXPECT_EQ(read<std::uint16_t>(tss + 0x4C), code0);
}

TEST_F(Tasks, CallNestsAndIretReturns) {
    enter_protected(0);
    make_task32();
    EXPECT_EQ(call(free1), none);
    EXPECT_TRUE(cpu.other_flags & flag::nt);
    EXPECT_EQ(read<std::uint16_t>(other_tss), task);
    EXPECT_EQ(type_of(task), 0xBU) << "both are busy";
    EXPECT_EQ(type_of(free1), 0xBU);
    EXPECT_EQ(fault_of([&] { cpu.interrupt_return(4); }), none);
    EXPECT_EQ(cpu.rip(), 0x7000U);
    EXPECT_EQ(cpu.system.tr.selector, task);
    EXPECT_EQ(type_of(free1), 9U);
    EXPECT_EQ(read<std::uint32_t>(other_tss + 0x24) & flag::nt, 0U) << "saved without NT";
}

TEST_F(Tasks, TaskGate) {
    enter_protected(3);
    make_task32();
    set_gdt(free2, gate(SystemType::task_gate, free1, 0, 3));
    EXPECT_EQ(jump(free1), gp(free1)) << "the TSS itself is privileged";
    EXPECT_EQ(call(free2), none);
    EXPECT_EQ(cpu.cpl(), 0U);
}

TEST_F(Tasks, DescriptorChecks) {
    enter_protected(0);
    make_task32();
    EXPECT_EQ(jump(task), gp(task)) << "busy";
    set_gdt(free1, not_present(system_descriptor(SystemType::tss32_available, other_tss, 0x67)));
    EXPECT_EQ(jump(free1), np(free1));
    set_gdt(free1, system_descriptor(SystemType::tss32_available, other_tss, 0x66));
    EXPECT_EQ(jump(free1), ts(free1)) << "too small";
    set_gdt(free2, gate(SystemType::task_gate, 0x0C, 0, 0));
    EXPECT_EQ(jump(free2), gp(0x0C)) << "a TSS is never local";
    EXPECT_EQ(cpu.system.tr.selector, task);
    EXPECT_EQ(cpu.rip(), 0x7000U);
}

TEST_F(Tasks, IretChecksTheBackLink) {
    enter_protected(0);
    make_task32();
    cpu.set_rflags(flag::fixed | flag::nt);
    write<std::uint16_t>(tss, free1);
    EXPECT_EQ(fault_of([&] { cpu.interrupt_return(4); }), ts(free1)) << "not busy";
}

TEST_F(Tasks, FaultsOfTheNewTaskAreDeliveredInIt) {
    enter_protected(0);
    make_task32();
    set_idt(10, gate(SystemType::interrupt_gate32, code0, 0x200));
    write<std::uint16_t>(other_tss + 0x54, 0xF8 | 4); // DS
    EXPECT_EQ(jump(free1), none);
    EXPECT_EQ(cpu.system.tr.selector, free1);
    EXPECT_EQ(cpu.rip(), 0x200U);
    EXPECT_EQ(read<std::uint32_t>(0x5000 - 16), 0xFCU) << "#TS(selector)";
    EXPECT_EQ(read<std::uint32_t>(0x5000 - 12), 0x6000U) << "at the new task's first instruction";
}

TEST_F(Tasks, TrapBit) {
    enter_protected(0);
    make_task32();
    set_idt(1, gate(SystemType::interrupt_gate32, code0, 0x100));
    write<std::uint16_t>(other_tss + 0x64, 1);
    EXPECT_EQ(jump(free1), none);
    EXPECT_EQ(cpu.rip(), 0x100U);
    EXPECT_TRUE(cpu.system.dr6 & x86::dr6::bt);
    EXPECT_EQ(read<std::uint32_t>(0x5000 - 12), 0x6000U);
}

TEST_F(Tasks, SixteenBitTask) {
    enter_protected(0);
    set_gdt(free1, system_descriptor(SystemType::tss16_available, other_tss, 0x2B));
    write<std::uint16_t>(other_tss + 0x0E, 0x6000);
    write<std::uint16_t>(other_tss + 0x10, flag::fixed);
    write<std::uint16_t>(other_tss + 0x12, 0x4242); // AX
    write<std::uint16_t>(other_tss + 0x1A, 0x5000); // SP
    const std::uint16_t selectors[] = {data0, code0, data0, data0};
    for (std::uint32_t i = 0; i < 4; ++i) {
        write<std::uint16_t>(other_tss + 0x22 + i * 2, selectors[i]);
    }
    EXPECT_EQ(call(free1), none);
    EXPECT_EQ(cpu.rip(), 0x6000U);
    EXPECT_EQ(cpu.reg<std::uint16_t>(x86::rax), 0x4242);
    EXPECT_TRUE(cpu.system.segments[x86::gs].unusable);
    EXPECT_EQ(fault_of([&] { cpu.interrupt_return(4); }), none);
    EXPECT_EQ(cpu.rip(), 0x7000U);
    EXPECT_EQ(read<std::uint16_t>(other_tss + 0x0E), 0x6000);
}

TEST_F(Tasks, TaskInVirtual8086Mode) {
    enter_protected(0);
    make_task32();
    write<std::uint32_t>(other_tss + 0x24, flag::fixed | flag::vm);
    write<std::uint16_t>(other_tss + 0x4C, 0x1234);
    EXPECT_EQ(jump(free1), none);
    EXPECT_TRUE(cpu.v86());
    EXPECT_EQ(cpu.cpl(), 3U);
    EXPECT_EQ(cpu.system.segments[x86::cs].base, 0x12340U);
}

TEST_F(Tasks, LocalDescriptorTableOfTheNewTask) {
    enter_protected(0);
    make_task32();
    set_gdt(free2, system_descriptor(SystemType::ldt, ldt, 0x0F));
    write<std::uint64_t>(ldt + 8, segment_descriptor(data_type, 0, Size::bits32));
    write<std::uint16_t>(other_tss + 0x60, free2);
    write<std::uint16_t>(other_tss + 0x58, 0x0C); // FS, local
    EXPECT_EQ(jump(free1), none);
    EXPECT_EQ(cpu.system.ldtr.selector, free2);
    EXPECT_FALSE(cpu.system.segments[x86::fs].unusable);
}

} // namespace
} // namespace strata::cpu::interpreter
