// IN, OUT, INS, OUTS and the permission to use a port.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

namespace flag = x86::flag;

class PortIo : public SystemTest {
protected:
    // Bits of the I/O map, which begins at 0x80 in the TSS, are set: denied.
    void deny(std::uint16_t port) {
        const std::uint32_t byte = tss + 0x80 + port / 8;
        write<std::uint8_t>(byte, static_cast<std::uint8_t>(read<std::uint8_t>(byte) | 1 << port % 8));
    }
};

TEST_F(PortIo, SizesAndForms) {
    bus.ports[0x60] = 0x1234'5678;
    cpu.regs[x86::rdx] = 0x60;
    cpu.regs[x86::rax] = 0xAAAA'AAAA;
    EXPECT_EQ(execute({0xE4, 0x60}), none); // in al, 0x60
    EXPECT_EQ(cpu.regs[x86::rax], 0xAAAA'AA78U);
    EXPECT_EQ(execute({0xED}), none); // in ax, dx
    EXPECT_EQ(cpu.regs[x86::rax], 0xAAAA'5678U);
    EXPECT_EQ(execute({0x66, 0xED}), none); // in eax, dx
    EXPECT_EQ(cpu.regs[x86::rax], 0x1234'5678U);
    EXPECT_EQ(execute({0xE6, 0x80}), none);       // out 0x80, al
    EXPECT_EQ(execute({0xEF}), none);             // out dx, ax
    EXPECT_EQ(execute({0x66, 0xE7, 0xCF}), none); // out 0xcf, eax
    const std::vector<testing::FakeBus::Write> expected{
        {0x80, 1, 0x78}, {0x60, 2, 0x5678}, {0xCF, 4, 0x1234'5678}};
    EXPECT_EQ(bus.port_writes, expected);
}

TEST_F(PortIo, PrivilegeOrTheMapDecides) {
    enter_protected(3);
    EXPECT_TRUE(cpu.io_permitted(0x60, 1)) << "the map allows it";
    deny(0x61);
    EXPECT_TRUE(cpu.io_permitted(0x60, 1));
    EXPECT_FALSE(cpu.io_permitted(0x60, 2)) << "each byte of it counts";
    EXPECT_FALSE(cpu.io_permitted(0x5E, 4));
    cpu.regs[x86::rdx] = 0x61;
    EXPECT_EQ(execute({0xEC}), gp());
    EXPECT_EQ(execute({0xEE}), gp());
    EXPECT_EQ(execute({0x6E}), gp()) << "OUTSB";
    cpu.set_rflags(flag::iopl | flag::fixed);
    EXPECT_EQ(execute({0xEC}), none) << "IOPL 3";
}

TEST_F(PortIo, MapEndsWithTheTss) {
    enter_protected(3);
    cpu.system.tr.limit = 0x80 + 0x60 / 8;
    EXPECT_FALSE(cpu.io_permitted(0x60, 1)) << "the processor reads two bytes";
    cpu.system.tr.limit = 0x80 + 0x60 / 8 + 1;
    EXPECT_TRUE(cpu.io_permitted(0x60, 1));
    write<std::uint16_t>(tss + 0x66, 0xFFFF);
    EXPECT_FALSE(cpu.io_permitted(0, 1)) << "no map";
    enter_privilege(0);
    EXPECT_TRUE(cpu.io_permitted(0xFFFF, 1));
}

TEST_F(PortIo, Virtual8086ModeAsksTheMapWhateverTheIopl) {
    enter_v86(3);
    deny(0x60);
    EXPECT_FALSE(cpu.io_permitted(0x60, 1));
    EXPECT_TRUE(cpu.io_permitted(0x70, 1));
}

TEST_F(PortIo, StringsMoveTheirIndex) {
    bus.ports[0x1F0] = 0xBEEF;
    cpu.regs[x86::rdx] = 0x1F0;
    cpu.regs[x86::rdi] = 0x6000;
    cpu.regs[x86::rcx] = 3;
    EXPECT_EQ(execute({0xF3, 0x6D}), none); // rep insw
    EXPECT_EQ(read<std::uint32_t>(0x6000), 0xBEEF'BEEFU);
    EXPECT_EQ(read<std::uint16_t>(0x6004), 0xBEEF);
    EXPECT_EQ(cpu.regs[x86::rdi], 0x6006U);
    EXPECT_EQ(cpu.regs[x86::rcx], 0U);
    cpu.set_rflags(flag::df | flag::fixed);
    cpu.regs[x86::rsi] = 0x6004;
    EXPECT_EQ(execute({0x6F}), none); // outsw, backwards
    EXPECT_EQ(bus.port_writes.back().value, 0xBEEFU);
    EXPECT_EQ(cpu.regs[x86::rsi], 0x6002U);
}

TEST_F(PortIo, RepeatedStringsCanBeInterrupted) {
    cpu.regs[x86::rcx] = 100;
    cpu.regs[x86::rdi] = 0x6000;
    cpu.rip() = 0x100;
    cpu.signals().set(Signals::leave);
    EXPECT_EQ(execute({0xF3, 0x6C}), none); // rep insb
    EXPECT_EQ(cpu.regs[x86::rcx], 99U);
    EXPECT_EQ(cpu.rip(), 0x100U) << "to be continued";
}

TEST_F(PortIo, AFaultInTheMiddleKeepsWhatIsDone) {
    enter_protected(0);
    cpu.system.segments[x86::es].limit = 0x6001;
    cpu.segment_changed(x86::es);
    cpu.regs[x86::rcx] = 4;
    cpu.regs[x86::rdi] = 0x6000;
    EXPECT_EQ(execute({0xF3, 0x6C}), gp());
    EXPECT_EQ(cpu.regs[x86::rcx], 2U);
    EXPECT_EQ(cpu.regs[x86::rdi], 0x6002U);
}

} // namespace
} // namespace strata::cpu::interpreter
