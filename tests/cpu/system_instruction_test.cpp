// Descriptor-table registers, MSRs, time, CPUID, XCR0, HLT, TLB control, fast system calls, and instructions
// on segment registers.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::SystemType;
using x86::Vector;

namespace flag = x86::flag;

class SystemInstructions : public SystemTest {
protected:
    using SystemTest::SystemTest;

    Raised read_msr(std::uint32_t index) {
        cpu.regs[x86::rcx] = index;
        return execute({0x0F, 0x32});
    }

    Raised write_msr(std::uint32_t index, std::uint64_t value) {
        cpu.regs[x86::rcx] = index;
        set_pair(value);
        return execute({0x0F, 0x30});
    }

    std::uint64_t pair() const { return cpu.regs[x86::rdx] << 32 | cpu.regs[x86::rax]; }

    void set_pair(std::uint64_t value) {
        cpu.regs[x86::rax] = value & 0xFFFF'FFFF;
        cpu.regs[x86::rdx] = value >> 32;
    }
};

class K6 : public SystemInstructions {
protected:
    K6() : SystemInstructions("k6-2") {}
};

// ---- descriptor tables ----

TEST_F(SystemInstructions, LoadAndStoreDescriptorTables) {
    cpu.regs[x86::rbx] = 0x6000;
    write<std::uint16_t>(0x6000, 0x1234);
    write<std::uint32_t>(0x6002, 0xABCD'EF01);
    EXPECT_EQ(execute({0x0F, 0x01, 0x17}), none); // lgdt [bx]
    EXPECT_EQ(cpu.system.gdtr, (x86::DescriptorTable{0xCD'EF01, 0x1234})) << "24 bits of base";
    EXPECT_EQ(execute({0x66, 0x0F, 0x01, 0x1F}), none); // lidt [bx], 32-bit operand
    EXPECT_EQ(cpu.system.idtr, (x86::DescriptorTable{0xABCD'EF01, 0x1234}));
    EXPECT_EQ(execute({0x0F, 0x01, 0x4F, 0x10}), none); // sidt [bx + 16]
    EXPECT_EQ(read<std::uint16_t>(0x6010), 0x1234);
    EXPECT_EQ(read<std::uint32_t>(0x6012), 0xABCD'EF01U);
}

TEST_F(SystemInstructions, LongModeTablesHaveTenBytes) {
    enter_long(0);
    cpu.regs[x86::rbx] = 0x6000;
    write<std::uint16_t>(0x6000, 0xFFF);
    write<std::uint64_t>(0x6002, 0xFFFF'8000'1234'5678);
    EXPECT_EQ(execute({0x0F, 0x01, 0x1B}), none);
    EXPECT_EQ(cpu.system.idtr, (x86::DescriptorTable{0xFFFF'8000'1234'5678, 0xFFF}));
    write<std::uint64_t>(0x6002, 0x8000'0000'0000);
    EXPECT_EQ(execute({0x0F, 0x01, 0x1B}), gp()) << "not canonical";
    EXPECT_EQ(execute({0x0F, 0x01, 0x4B, 0x20}), none);
    EXPECT_EQ(read<std::uint64_t>(0x6022), 0xFFFF'8000'1234'5678U);
}

TEST_F(SystemInstructions, TaskAndLocalTableRegisters) {
    enter_protected(0);
    set_gdt(free1, system_descriptor(SystemType::tss32_available, other_tss, 0x67));
    set_gdt(free2, system_descriptor(SystemType::ldt, ldt, 0x1F));
    cpu.regs[x86::rax] = free1;
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), none); // ltr ax
    EXPECT_EQ(cpu.system.tr.base, other_tss);
    EXPECT_EQ(read<std::uint8_t>(gdt + free1 + 5) & 0xF, 0xB) << "busy";
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), gp(free1)) << "busy already";
    cpu.regs[x86::rax] = free2;
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), gp(free2));
    EXPECT_EQ(execute({0x0F, 0x00, 0xD0}), none); // lldt ax
    EXPECT_EQ(cpu.system.ldtr.limit, 0x1FU);
    cpu.regs[x86::rbx] = ~std::uint64_t{0};
    EXPECT_EQ(execute({0x0F, 0x00, 0xC3}), none); // sldt ebx
    EXPECT_EQ(cpu.regs[x86::rbx], free2);
    EXPECT_EQ(execute({0x0F, 0x00, 0xCB}), none); // str ebx
    EXPECT_EQ(cpu.regs[x86::rbx], free1);
    cpu.regs[x86::rax] = 0;
    EXPECT_EQ(execute({0x0F, 0x00, 0xD0}), none);
    EXPECT_TRUE(cpu.system.ldtr.unusable);
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), gp(0));
}

TEST_F(SystemInstructions, LongModeTaskRegisterTakesSixteenBytes) {
    enter_long(0);
    set_gdt(free1, system_descriptor(SystemType::tss32_available, other_tss, 0x67), 0xFFFF'8000);
    cpu.regs[x86::rax] = free1;
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), none);
    EXPECT_EQ(cpu.system.tr.base, 0xFFFF'8000'0000'5000U);
    set_gdt(free1, system_descriptor(SystemType::tss16_available, other_tss, 0x67), 0);
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), gp(free1));
}

TEST_F(SystemInstructions, RealModeHasNoLdtOrTask) {
    EXPECT_EQ(execute({0x0F, 0x00, 0xD8}), raised(Vector::invalid_opcode));
    EXPECT_EQ(execute({0x0F, 0x00, 0xC8}), raised(Vector::invalid_opcode));
    EXPECT_EQ(execute({0x0F, 0x02, 0xC1}), raised(Vector::invalid_opcode)) << "LAR";
}

// ---- MSRs ----

TEST_F(SystemInstructions, MsrsOfSegmentBases) {
    enter_long(0);
    EXPECT_EQ(write_msr(0xC000'0100, 0xFFFF'8000'0000'1000), none);
    EXPECT_EQ(cpu.system.segments[x86::fs].base, 0xFFFF'8000'0000'1000U);
    EXPECT_EQ(write_msr(0xC000'0101, 0x8000'0000'0000), gp()) << "not canonical";
    EXPECT_EQ(write_msr(0xC000'0102, 0x7777), none);
    EXPECT_EQ(execute({0x0F, 0x01, 0xF8}), none); // swapgs
    EXPECT_EQ(cpu.system.segments[x86::gs].base, 0x7777U);
    EXPECT_EQ(read_msr(0xC000'0102), none);
    EXPECT_EQ(pair(), 0U);
}

TEST_F(SystemInstructions, Efer) {
    enter_protected(0);
    EXPECT_EQ(write_msr(0xC000'0080, x86::efer::lme | x86::efer::nxe | x86::efer::sce), none);
    EXPECT_EQ(write_msr(0xC000'0080, x86::efer::svme), gp()) << "no SVM";
    enter_long(0);
    EXPECT_EQ(write_msr(0xC000'0080, 0), gp()) << "LME while paging";
    EXPECT_EQ(write_msr(0xC000'0080, x86::efer::lme), none);
    EXPECT_EQ(cpu.system.efer, x86::efer::lme | x86::efer::lma);
}

TEST_F(SystemInstructions, MsrValuesAreChecked) {
    enter_protected(0);
    EXPECT_EQ(write_msr(0x277, 0x0007'0406'0007'0401), none);
    EXPECT_EQ(write_msr(0x277, 2), gp()) << "reserved memory type";
    EXPECT_EQ(write_msr(0x250, 0x0606'0606'0606'0606), none);
    EXPECT_EQ(write_msr(0x268, 0x0707'0707'0707'0707), gp()) << "UC- is for PAT alone";
    EXPECT_EQ(write_msr(0x26F, 0x0505'0505'0505'0505), none);
    EXPECT_EQ(cpu.system.mtrr_fixed[10], 0x0505'0505'0505'0505U);
    EXPECT_EQ(write_msr(0x200, 0x1'0000'0006), none);
    EXPECT_EQ(write_msr(0x201, std::uint64_t{1} << 60), gp());
    EXPECT_EQ(write_msr(0x2FF, 0xC06), none);
    EXPECT_EQ(write_msr(0xFE, 0), gp()) << "read-only";
    EXPECT_EQ(read_msr(0xFE), none);
    EXPECT_EQ(pair() & 0xFF, 8U);
    EXPECT_EQ(write_msr(0x48, 1), none);
    EXPECT_EQ(write_msr(0x48, 0x401), none) << "IBRS, BHI_DIS_S";
    EXPECT_EQ(write_msr(0x48, 0x100), gp());
    EXPECT_EQ(write_msr(0xDA0, 0x100), gp());
}

TEST_F(SystemInstructions, MsrsOfThePlatformAndUnknownOnes) {
    enter_protected(0);
    EXPECT_EQ(read_msr(0x1234'5678), gp());
    EXPECT_EQ(write_msr(0x1234'5678, 0), gp());
    bus.msrs[0x1B] = 0xFEE0'0900;
    EXPECT_EQ(read_msr(0x1B), none);
    EXPECT_EQ(pair(), 0xFEE0'0900U);
    enter_privilege(3);
    EXPECT_EQ(read_msr(0x1B), gp());
}

TEST_F(SystemInstructions, TimeStampCounterAndItsAdjustment) {
    enter_protected(0);
    EXPECT_EQ(write_msr(0x10, std::uint64_t{1} << 40), none);
    EXPECT_EQ(execute({0x0F, 0x31}), none); // rdtsc
    EXPECT_GE(pair(), std::uint64_t{1} << 40);
    EXPECT_LT(pair(), (std::uint64_t{1} << 40) + 60'000'000'000) << "within a minute at 1 GHz";
    EXPECT_EQ(read_msr(0x3B), none);
    const std::uint64_t adjust = pair();
    EXPECT_EQ(adjust, static_cast<std::uint64_t>(cpu.system.tsc_offset));
    EXPECT_EQ(write_msr(0x3B, 0), none);
    EXPECT_EQ(cpu.system.tsc_offset, 0) << "undone";
}

TEST_F(SystemInstructions, DeadlinesAreGivenToTheBusInItsOwnTime) {
    enter_protected(0);
    bus.msrs[0x6E0] = 0;
    cpu.system.tsc_offset = 1000;
    EXPECT_EQ(write_msr(0x6E0, 5000), none);
    EXPECT_EQ(bus.msrs[0x6E0], 4000U);
    EXPECT_EQ(read_msr(0x6E0), none);
    EXPECT_EQ(pair(), 5000U);
    EXPECT_EQ(write_msr(0x6E0, 0), none);
    EXPECT_EQ(bus.msrs[0x6E0], 0U) << "disarmed";
}

TEST_F(SystemInstructions, TimeStampDisable) {
    enter_protected(3);
    EXPECT_EQ(execute({0x0F, 0x31}), none);
    cpu.system.tsc_aux = 7;
    EXPECT_EQ(execute({0x0F, 0x01, 0xF9}), none); // rdtscp
    EXPECT_EQ(cpu.regs[x86::rcx], 7U);
    cpu.system.cr4 |= x86::cr4::tsd;
    EXPECT_EQ(execute({0x0F, 0x31}), gp());
    EXPECT_EQ(execute({0x0F, 0x01, 0xF9}), gp());
    EXPECT_EQ(execute({0xF3, 0x0F, 0xC7, 0xF8}), none) << "RDPID is not a clock";
    EXPECT_EQ(cpu.regs[x86::rax], 7U);
    EXPECT_EQ(execute({0x0F, 0x33}), gp()) << "RDPMC: no counters";
}

TEST_F(SystemInstructions, CpuidClearsUpperHalves) {
    enter_long(3);
    cpu.regs[x86::rax] = 0xFFFF'FFFF'0000'0000;
    EXPECT_EQ(execute({0x0F, 0xA2}), none);
    EXPECT_EQ(cpu.regs[x86::rax], 0x16U);
    EXPECT_EQ(cpu.regs[x86::rbx], 0x756E'6547U);
}

TEST_F(SystemInstructions, ExtendedControlRegister) {
    enter_protected(0);
    cpu.regs[x86::rcx] = 0;
    set_pair(7);
    EXPECT_EQ(execute({0x0F, 0x01, 0xD1}), raised(Vector::invalid_opcode)) << "without CR4.OSXSAVE";
    cpu.system.cr4 |= x86::cr4::osxsave;
    EXPECT_EQ(execute({0x0F, 0x01, 0xD1}), none); // xsetbv
    EXPECT_EQ(execute({0x0F, 0x01, 0xD0}), none); // xgetbv
    EXPECT_EQ(pair(), 7U);
    for (const std::uint64_t bad : {0U, 2U, 5U, 0xFU}) {
        set_pair(bad);
        EXPECT_EQ(execute({0x0F, 0x01, 0xD1}), gp()) << bad;
    }
    cpu.regs[x86::rcx] = 5;
    EXPECT_EQ(execute({0x0F, 0x01, 0xD0}), gp());
}

// ---- HLT, TLB, flags ----

TEST_F(SystemInstructions, Halt) {
    enter_protected(0);
    EXPECT_EQ(execute({0xF4}), none);
    EXPECT_EQ(cpu.activity, x86::Activity::halted);
    enter_privilege(3);
    EXPECT_EQ(execute({0xF4}), gp());
}

TEST_F(SystemInstructions, InvalidatedPagesAreWalkedAgain) {
    enter_long(0);
    constexpr std::uint64_t entry = 0x12000 + 8, page = 0x20'0000;
    write<std::uint64_t>(entry, 0x20'0000 | 0x83);
    write<std::uint64_t>(entry, 0x0 | 0x83);
    write<std::uint32_t>(0x100, 0x1111);
    write<std::uint32_t>(0x8'0100, 0x2222);
    EXPECT_EQ(cpu.load<std::uint32_t>(x86::ds, page + 0x100), 0x1111U);
    write<std::uint64_t>(entry, 0);
    cpu.regs[x86::rbx] = page;
    EXPECT_EQ(execute({0x0F, 0x01, 0x3B}), none); // invlpg [rbx]
    EXPECT_EQ(fault_of([&] { (void)cpu.load<std::uint32_t>(x86::ds, page + 0x100); }),
              raised(Vector::page_fault, 0));
}

TEST_F(SystemInstructions, InvpcidChecksItsOperands) {
    enter_long(0);
    cpu.regs[x86::rbx] = 0x6000;
    const auto invpcid = [&](std::uint64_t type, std::uint64_t pcid, std::uint64_t address) {
        cpu.regs[x86::rax] = type;
        write<std::uint64_t>(0x6000, pcid);
        write<std::uint64_t>(0x6008, address);
        return execute({0x66, 0x0F, 0x38, 0x82, 0x03});
    };
    EXPECT_EQ(invpcid(2, 0, 0), none);
    EXPECT_EQ(invpcid(3, 0, 0), none);
    EXPECT_EQ(invpcid(4, 0, 0), gp());
    EXPECT_EQ(invpcid(2, 0x1000, 0), gp());
    EXPECT_EQ(invpcid(1, 5, 0), gp()) << "PCIDs are off";
    EXPECT_EQ(invpcid(0, 0, 0x8000'0000'0000), gp());
    EXPECT_EQ(invpcid(0, 0, 0x1000), none);
    enter_privilege(3);
    EXPECT_EQ(invpcid(2, 0, 0), gp());
}

TEST_F(SystemInstructions, AccessControlFlag) {
    enter_protected(0);
    EXPECT_EQ(execute({0x0F, 0x01, 0xCB}), none); // stac
    EXPECT_TRUE(cpu.rflags() & flag::ac);
    EXPECT_EQ(execute({0x0F, 0x01, 0xCA}), none); // clac
    EXPECT_FALSE(cpu.rflags() & flag::ac);
    enter_privilege(3);
    EXPECT_EQ(execute({0x0F, 0x01, 0xCB}), raised(Vector::invalid_opcode));
}

TEST_F(SystemInstructions, InstructionsOfVirtualizationAreUndefined) {
    enter_protected(0);
    EXPECT_EQ(execute({0x0F, 0x01, 0xC1}), raised(Vector::invalid_opcode)) << "VMCALL";
    EXPECT_EQ(execute({0x0F, 0x01, 0xD9}), raised(Vector::invalid_opcode)) << "VMMCALL";
    EXPECT_EQ(execute({0x0F, 0xAA}), raised(Vector::invalid_opcode)) << "RSM";
    EXPECT_EQ(execute({0x0F, 0x01, 0xC8}), raised(Vector::invalid_opcode)) << "MONITOR";
}

// ---- fast system calls ----

TEST_F(SystemInstructions, SyscallAndSysret) {
    enter_long(3);
    cpu.system.star = std::uint64_t{0x0048} << 48 | std::uint64_t{wide_code0} << 32;
    cpu.system.lstar = 0xFFFF'8000'0000'1000;
    cpu.system.fmask = flag::if_ | flag::df;
    cpu.set_rflags(flag::if_ | flag::df | flag::cf | flag::fixed);
    EXPECT_EQ(execute({0x0F, 0x05}), none);
    EXPECT_EQ(cpu.rip(), 0xFFFF'8000'0000'1000U);
    EXPECT_EQ(cpu.cpl(), 0U);
    EXPECT_EQ(selector(x86::cs), wide_code0);
    EXPECT_EQ(selector(x86::ss), wide_code0 + 8);
    EXPECT_EQ(cpu.regs[x86::rcx], 0x7002U);
    EXPECT_EQ(cpu.regs[x86::r11], flag::if_ | flag::df | flag::cf | flag::fixed);
    EXPECT_EQ(cpu.rflags(), flag::cf | flag::fixed);
    EXPECT_EQ(execute({0x48, 0x0F, 0x07}), none); // sysretq
    EXPECT_EQ(cpu.rip(), 0x7002U);
    EXPECT_EQ(cpu.cpl(), 3U);
    EXPECT_TRUE(cpu.code64());
    EXPECT_EQ(selector(x86::cs), 0x5B);
    EXPECT_EQ(selector(x86::ss), 0x53);
    EXPECT_EQ(cpu.rflags(), flag::if_ | flag::df | flag::cf | flag::fixed);
}

TEST_F(SystemInstructions, SysretTo32BitCodeAndItsChecks) {
    enter_long(0);
    cpu.system.star = std::uint64_t{0x0018} << 48;
    cpu.regs[x86::rcx] = 0x8000'0000'0000;
    EXPECT_EQ(execute({0x48, 0x0F, 0x07}), gp()) << "not canonical";
    cpu.regs[x86::rcx] = 0x1'0000'1234;
    EXPECT_EQ(execute({0x0F, 0x07}), none);
    EXPECT_EQ(cpu.rip(), 0x1234U);
    EXPECT_FALSE(cpu.code64());
    EXPECT_EQ(selector(x86::cs), 0x1B);
    EXPECT_EQ(execute({0x0F, 0x05}), raised(Vector::invalid_opcode)) << "Intel: 64-bit code only";
    enter_long(0);
    cpu.system.efer &= ~x86::efer::sce;
    EXPECT_EQ(execute({0x0F, 0x05}), raised(Vector::invalid_opcode));
}

TEST_F(K6, SyscallInProtectedMode) {
    enter_protected(3);
    cpu.system.efer = x86::efer::sce;
    cpu.system.star = std::uint64_t{code3 & ~3} << 48 | std::uint64_t{code0} << 32 | 0x1234;
    cpu.set_rflags(flag::if_ | flag::fixed);
    EXPECT_EQ(execute({0x0F, 0x05}), none);
    EXPECT_EQ(cpu.rip(), 0x1234U);
    EXPECT_EQ(cpu.cpl(), 0U);
    EXPECT_EQ(selector(x86::ss), data0);
    EXPECT_EQ(cpu.regs[x86::rcx], 0x7002U);
    EXPECT_EQ(cpu.rflags(), flag::fixed);
    EXPECT_EQ(execute({0x0F, 0x07}), none);
    EXPECT_EQ(cpu.rip(), 0x7002U);
    EXPECT_EQ(selector(x86::cs), code3);
    EXPECT_EQ(cpu.rflags(), flag::if_ | flag::fixed);
}

TEST_F(SystemInstructions, SysenterAndSysexit) {
    enter_protected(3);
    EXPECT_EQ(execute({0x0F, 0x34}), gp()) << "SYSENTER_CS is null";
    cpu.system.sysenter_cs = code0;
    cpu.system.sysenter_eip = 0x1234;
    cpu.system.sysenter_esp = stack0;
    cpu.set_rflags(flag::if_ | flag::fixed);
    EXPECT_EQ(execute({0x0F, 0x34}), none);
    EXPECT_EQ(cpu.rip(), 0x1234U);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
    EXPECT_EQ(cpu.cpl(), 0U);
    EXPECT_EQ(selector(x86::ss), data0);
    EXPECT_EQ(cpu.rflags(), flag::fixed);
    cpu.regs[x86::rdx] = 0x5678;
    cpu.regs[x86::rcx] = stack3;
    EXPECT_EQ(execute({0x0F, 0x35}), none);
    EXPECT_EQ(cpu.rip(), 0x5678U);
    EXPECT_EQ(selector(x86::cs), code3);
    EXPECT_EQ(selector(x86::ss), data3);
    EXPECT_EQ(cpu.regs[x86::rsp], stack3);
    EXPECT_EQ(execute({0x0F, 0x35}), gp()) << "SYSEXIT is privileged";
}

TEST_F(SystemInstructions, SysenterFromCompatibilityMode) {
    enter_long(3, false);
    cpu.system.sysenter_cs = 8;
    cpu.system.sysenter_eip = 0xFFFF'8000'0000'1234;
    cpu.system.sysenter_esp = 0xFFFF'8000'0000'5678;
    EXPECT_EQ(execute({0x0F, 0x34}), none);
    EXPECT_TRUE(cpu.code64());
    EXPECT_EQ(cpu.rip(), 0xFFFF'8000'0000'1234U);
    EXPECT_EQ(cpu.regs[x86::rsp], 0xFFFF'8000'0000'5678U);
    cpu.regs[x86::rdx] = 0x1'0000'1000;
    cpu.regs[x86::rcx] = 0x1'0000'2000;
    EXPECT_EQ(execute({0x48, 0x0F, 0x35}), none);
    EXPECT_EQ(cpu.rip(), 0x1'0000'1000U);
    EXPECT_EQ(selector(x86::cs), 8 + 32 + 3);
    EXPECT_TRUE(cpu.code64());
}

// ---- segment registers ----

TEST_F(SystemInstructions, MovesOfSegmentRegisters) {
    enter_protected(0);
    cpu.regs[x86::rax] = data3;
    EXPECT_EQ(execute({0x8E, 0xC0}), none); // mov es, ax
    cpu.regs[x86::rbx] = ~std::uint64_t{0} >> 32;
    EXPECT_EQ(execute({0x8C, 0xC3}), none); // mov ebx, es
    EXPECT_EQ(cpu.regs[x86::rbx], data3);
    EXPECT_EQ(execute({0x8E, 0xC8}), raised(Vector::invalid_opcode)) << "MOV CS";
    cpu.regs[x86::rax] = data0;
    EXPECT_EQ(execute({0x8E, 0xD0}), none); // mov ss, ax
    EXPECT_TRUE(cpu.movss_shadow);
}

TEST_F(SystemInstructions, PushAndPopOfSegmentRegisters) {
    enter_protected(0);
    write<std::uint32_t>(stack0 - 4, 0xAAAA'AAAA);
    EXPECT_EQ(execute({0x1E}), none); // push ds
    EXPECT_EQ(read<std::uint32_t>(stack0 - 4), 0xAAAA'0000U | data0) << "only two bytes are written";
    EXPECT_EQ(execute({0x0F, 0xA1}), none); // pop fs
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
    EXPECT_EQ(execute({0x66, 0x06}), none); // push es, 16 bits
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 2);
    EXPECT_EQ(execute({0x66, 0x17}), none); // pop ss
    EXPECT_TRUE(cpu.movss_shadow);
    cpu.push(code0 | 1, 4);
    EXPECT_EQ(execute({0x1F}), gp(code0)); // pop ds: RPL above DPL
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 4) << "nothing is popped";
}

TEST_F(SystemInstructions, LongModePushOfSegmentRegister) {
    enter_long(0);
    EXPECT_EQ(execute({0x0F, 0xA0}), none); // push fs
    EXPECT_EQ(cpu.regs[x86::rsp], stack0 - 8);
    EXPECT_EQ(execute({0x0F, 0xA9}), none); // pop gs
    EXPECT_EQ(selector(x86::gs), data0);
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
}

TEST_F(SystemInstructions, FarPointers) {
    enter_protected(0);
    write<std::uint32_t>(0x6000, 0x1234'5678);
    write<std::uint16_t>(0x6004, data3);
    cpu.regs[x86::rbx] = 0x6000;
    EXPECT_EQ(execute({0xC4, 0x03}), none); // les eax, [ebx]
    EXPECT_EQ(cpu.regs[x86::rax], 0x1234'5678U);
    EXPECT_EQ(selector(x86::es), data3);
    EXPECT_EQ(execute({0x0F, 0xB2, 0x23}), gp(data3 & ~3)); // lss esp, [ebx]
    EXPECT_EQ(cpu.regs[x86::rsp], stack0);
    write<std::uint32_t>(0x6002, data0);
    EXPECT_EQ(execute({0x66, 0x0F, 0xB2, 0x23}), none); // lss sp, [ebx]
    EXPECT_EQ(cpu.regs[x86::rsp], 0x5678U);
}

TEST_F(SystemInstructions, AccessRightsAndLimits) {
    enter_protected(3);
    cpu.regs[x86::rbx] = data3;
    EXPECT_EQ(execute({0x0F, 0x02, 0xC3}), none); // lar eax, ebx
    EXPECT_TRUE(cpu.flags.zf());
    EXPECT_EQ(cpu.regs[x86::rax], 0x00CF'F200U);
    EXPECT_EQ(execute({0x0F, 0x03, 0xC3}), none); // lsl eax, ebx
    EXPECT_EQ(cpu.regs[x86::rax], 0xFFFF'FFFFU);
    EXPECT_EQ(execute({0x0F, 0x00, 0xE3}), none); // verr bx
    EXPECT_TRUE(cpu.flags.zf());
    EXPECT_EQ(execute({0x0F, 0x00, 0xEB}), none); // verw bx
    EXPECT_TRUE(cpu.flags.zf());
    for (const std::uint16_t hidden : {std::uint16_t{0}, data0, std::uint16_t{0x1F0}}) {
        cpu.regs[x86::rbx] = hidden;
        cpu.regs[x86::rax] = 0x55;
        EXPECT_EQ(execute({0x0F, 0x02, 0xC3}), none);
        EXPECT_FALSE(cpu.flags.zf()) << hidden;
        EXPECT_EQ(cpu.regs[x86::rax], 0x55U);
        EXPECT_EQ(execute({0x0F, 0x00, 0xE3}), none);
        EXPECT_FALSE(cpu.flags.zf()) << hidden;
    }
    cpu.regs[x86::rbx] = code3;
    EXPECT_EQ(execute({0x0F, 0x00, 0xEB}), none);
    EXPECT_FALSE(cpu.flags.zf()) << "code is not writable";
}

TEST_F(SystemInstructions, AdjustRpl) {
    enter_protected(0);
    cpu.regs[x86::rax] = 0x1234'0010;
    cpu.regs[x86::rbx] = 3;
    EXPECT_EQ(execute({0x63, 0xD8}), none); // arpl ax, bx
    EXPECT_EQ(cpu.regs[x86::rax], 0x1234'0013U);
    EXPECT_TRUE(cpu.flags.zf());
    EXPECT_EQ(execute({0x63, 0xD8}), none);
    EXPECT_FALSE(cpu.flags.zf());
}

TEST_F(SystemInstructions, FsAndGsBases) {
    enter_long(3);
    EXPECT_EQ(execute({0xF3, 0x48, 0x0F, 0xAE, 0xC0}), raised(Vector::invalid_opcode)) << "CR4.FSGSBASE = 0";
    cpu.system.cr4 |= x86::cr4::fsgsbase;
    cpu.regs[x86::rbx] = 0x7FFF'1234'5678;
    EXPECT_EQ(execute({0xF3, 0x48, 0x0F, 0xAE, 0xD3}), none); // wrfsbase rbx
    EXPECT_EQ(execute({0xF3, 0x0F, 0xAE, 0xC0}), none);       // rdfsbase eax
    EXPECT_EQ(cpu.regs[x86::rax], 0x1234'5678U);
    cpu.regs[x86::rbx] = 0x8000'0000'0000;
    EXPECT_EQ(execute({0xF3, 0x48, 0x0F, 0xAE, 0xDB}), gp()); // wrgsbase rbx
    EXPECT_EQ(execute({0x0F, 0x01, 0xF8}), gp()) << "SWAPGS is privileged";
}

} // namespace
} // namespace strata::cpu::interpreter
