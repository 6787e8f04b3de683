// MOV to and from control and debug registers, LMSW, SMSW, CLTS: checks and effects.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Vector;

namespace cr0 = x86::cr0;
namespace cr4 = x86::cr4;
namespace efer = x86::efer;

class ControlRegisters : public SystemTest {
protected:
    using SystemTest::SystemTest;

    // MOV CRn, RAX (EAX).
    Raised set(unsigned number, std::uint64_t value) {
        cpu.regs[x86::rax] = value;
        return number == 8 ? execute({0x44, 0x0F, 0x22, 0xC0})
                           : execute({0x0F, 0x22, static_cast<int>(0xC0 | number << 3)});
    }

    std::uint64_t get(unsigned number) {
        EXPECT_EQ(number == 8 ? execute({0x44, 0x0F, 0x20, 0xC0})
                              : execute({0x0F, 0x20, static_cast<int>(0xC0 | number << 3)}),
                  none);
        return cpu.regs[x86::rax];
    }

    Raised set_debug(unsigned number, std::uint64_t value) {
        cpu.regs[x86::rax] = value;
        return execute({0x0F, 0x23, static_cast<int>(0xC0 | number << 3)});
    }
};

class OldControlRegisters : public ControlRegisters {
protected:
    OldControlRegisters() : ControlRegisters("386") {}
};

TEST_F(ControlRegisters, PrivilegedBelowUserMode) {
    enter_protected(3);
    EXPECT_EQ(set(0, 1), gp());
    EXPECT_EQ(execute({0x0F, 0x20, 0xC0}), gp());
    EXPECT_EQ(execute({0x0F, 0x06}), gp()) << "CLTS";
    EXPECT_EQ(set_debug(0, 0), gp());
}

TEST_F(ControlRegisters, Cr0Combinations) {
    enter_protected(0);
    EXPECT_EQ(set(0, cr0::pg), gp()) << "paging without protection";
    EXPECT_EQ(set(0, cr0::pe | cr0::nw), gp()) << "not write-through, but caching";
    EXPECT_EQ(set(0, cr0::pe | cr0::nw | cr0::cd), none);
    EXPECT_EQ(get(0), cr0::pe | cr0::nw | cr0::cd | cr0::et) << "ET is always set";
}

TEST_F(ControlRegisters, IntoAndOutOfLongMode) {
    enter_protected(0);
    cpu.system.efer = efer::lme;
    EXPECT_EQ(set(0, cr0::pe | cr0::pg), gp()) << "long mode needs PAE";
    EXPECT_EQ(set(4, cr4::pae), none);
    cpu.system.segments[x86::cs].attributes |= 0x2000;
    EXPECT_EQ(set(0, cr0::pe | cr0::pg), gp()) << "from a segment with L";
    cpu.system.segments[x86::cs].attributes &= static_cast<std::uint16_t>(~0x2000);
    EXPECT_EQ(set(0, cr0::pe | cr0::pg), none);
    EXPECT_TRUE(cpu.long_mode());
    EXPECT_FALSE(cpu.code64());
    EXPECT_EQ(set(4, 0), gp()) << "PAE must stay";
    EXPECT_EQ(set(0, cr0::pe), none);
    EXPECT_FALSE(cpu.long_mode());
    EXPECT_EQ(cpu.system.efer, efer::lme);
}

TEST_F(ControlRegisters, SixtyFourBitCodeCannotDisablePaging) {
    enter_long(0);
    EXPECT_EQ(set(0, cr0::pe), gp());
    EXPECT_EQ(set(0, get(0) | std::uint64_t{1} << 32), gp());
}

TEST_F(ControlRegisters, Cr3ReservedBitsAndPae) {
    enter_long(0);
    EXPECT_EQ(set(3, std::uint64_t{1} << 52), gp());
    EXPECT_EQ(set(3, 0x10018), none);
    EXPECT_EQ(get(3), 0x10018U);
}

TEST_F(ControlRegisters, PaePointerTableEntriesAreChecked) {
    enter_protected(0);
    EXPECT_EQ(set(4, cr4::pae), none);
    cpu.system.cr3 = 0x6000;
    write<std::uint64_t>(0x6000, 0x10000 | 1);
    write<std::uint64_t>(0x6018, 0x10000 | 3); // bit 1 is reserved
    EXPECT_EQ(set(0, cr0::pe | cr0::pg), gp());
    write<std::uint64_t>(0x6018, 0x10000 | 2); // not present: nothing is reserved
    EXPECT_EQ(set(0, cr0::pe | cr0::pg), none);
    write<std::uint64_t>(0x6008, std::uint64_t{1} << 52 | 1);
    EXPECT_EQ(set(3, 0x6000), gp());
}

TEST_F(ControlRegisters, Cr4AllowsWhatTheModelHas) {
    enter_protected(0);
    EXPECT_EQ(set(4, cr4::la57), gp());
    EXPECT_EQ(set(4, cr4::smep | cr4::smap | cr4::umip | cr4::osxsave | cr4::fsgsbase), none);
    EXPECT_EQ(set(4, cr4::pcide), gp()) << "PCIDs need long mode";
}

TEST_F(ControlRegisters, PcidRules) {
    enter_long(0);
    const std::uint64_t old = cpu.system.cr4;
    cpu.system.cr3 |= 5;
    EXPECT_EQ(set(4, old | cr4::pcide), gp()) << "the current PCID must be 0";
    cpu.system.cr3 &= ~std::uint64_t{0xFFF};
    EXPECT_EQ(set(4, old | cr4::pcide), none);
    EXPECT_EQ(set(3, std::uint64_t{1} << 63 | 0x10005), none);
    EXPECT_EQ(get(3), 0x10005U) << "bit 63 is only a hint";
}

TEST_F(OldControlRegisters, The386HasNoCr4AndFewBitsOfCr0) {
    enter_protected(0);
    EXPECT_EQ(set(4, 0), raised(Vector::invalid_opcode));
    EXPECT_EQ(execute({0x0F, 0x20, 0xE0}), raised(Vector::invalid_opcode));
    EXPECT_EQ(set(0, cr0::pe | cr0::wp | cr0::ne), none);
    EXPECT_EQ(cpu.system.cr0, cr0::pe | cr0::et);
}

TEST_F(ControlRegisters, Cr8IsTheTaskPriority) {
    enter_long(0);
    EXPECT_EQ(set(8, 9), none);
    EXPECT_EQ(bus.priority, 9);
    EXPECT_EQ(get(8), 9U);
    EXPECT_EQ(set(8, 16), gp());
    EXPECT_EQ(execute({0x0F, 0x22, 0xC8}), raised(Vector::invalid_opcode)) << "CR1";
}

TEST_F(ControlRegisters, MachineStatusWord) {
    enter_protected(0);
    cpu.regs[x86::rax] = cr0::mp | cr0::ts;
    EXPECT_EQ(execute({0x0F, 0x01, 0xF0}), none); // lmsw ax
    EXPECT_EQ(cpu.system.cr0 & 0xF, cr0::pe | cr0::mp | cr0::ts) << "PE cannot be cleared";
    EXPECT_EQ(execute({0x0F, 0x01, 0xE3}), none); // smsw ebx
    EXPECT_EQ(cpu.regs[x86::rbx], cpu.system.cr0);
    EXPECT_EQ(execute({0x0F, 0x06}), none); // clts
    EXPECT_FALSE(cpu.system.cr0 & cr0::ts);
    enter_privilege(3);
    EXPECT_EQ(execute({0x0F, 0x01, 0xE3}), none) << "SMSW is for everybody";
    cpu.system.cr4 |= cr4::umip;
    EXPECT_EQ(execute({0x0F, 0x01, 0xE3}), gp()) << "unless UMIP forbids it";
}

TEST_F(ControlRegisters, DebugRegisters) {
    enter_protected(0);
    EXPECT_EQ(set_debug(0, 0x1234), none);
    EXPECT_EQ(cpu.system.dr[0], 0x1234U);
    EXPECT_EQ(set_debug(6, 0xFFFF'FFFF), none);
    EXPECT_EQ(cpu.system.dr6, 0xFFFF'EFFFU);
    EXPECT_EQ(set_debug(4, 0), none) << "DR4 is DR6";
    EXPECT_EQ(cpu.system.dr6, 0xFFFF'0FF0U);
    EXPECT_EQ(set_debug(7, 0), none);
    EXPECT_EQ(cpu.system.dr7, 0x400U);
    cpu.system.cr4 |= cr4::de;
    EXPECT_EQ(set_debug(4, 0), raised(Vector::invalid_opcode));
    cpu.system.dr7 |= x86::dr7::gd;
    EXPECT_EQ(set_debug(1, 0), raised(Vector::debug));
    EXPECT_TRUE(cpu.system.dr6 & x86::dr6::bd);
}

TEST_F(ControlRegisters, DebugRegistersInLongMode) {
    enter_long(0);
    EXPECT_EQ(set_debug(2, 0xFFFF'8000'0000'0000), none);
    EXPECT_EQ(cpu.system.dr[2], 0xFFFF'8000'0000'0000U);
    EXPECT_EQ(set_debug(7, std::uint64_t{1} << 32), gp());
    EXPECT_EQ(set_debug(6, std::uint64_t{1} << 32), gp());
}

} // namespace
} // namespace strata::cpu::interpreter
