// Loading segment registers in every mode.
#include "system_fixture.hpp"

namespace strata::cpu::interpreter {
namespace {

class Segments : public SystemTest {
protected:
    Raised load(unsigned segment, std::uint16_t value) {
        return fault_of([&] { cpu.load_segment(segment, value); });
    }
};

TEST_F(Segments, RealModeChangesTheBaseAlone) {
    cpu.system.segments[x86::ds].limit = 0xFFFF'FFFF;
    EXPECT_EQ(load(x86::ds, 0x1234), none);
    EXPECT_EQ(selector(x86::ds), 0x1234);
    EXPECT_EQ(cpu.system.segments[x86::ds].base, 0x12340U);
    EXPECT_EQ(cpu.system.segments[x86::ds].limit, 0xFFFF'FFFFU) << "unreal mode";
}

TEST_F(Segments, V86ModeLoadsEverything) {
    enter_v86(0);
    EXPECT_EQ(load(x86::es, 0xABCD), none);
    EXPECT_EQ(cpu.system.segments[x86::es].base, 0xABCD0U);
    EXPECT_EQ(cpu.system.segments[x86::es].limit, 0xFFFFU);
    EXPECT_EQ(cpu.system.segments[x86::es].dpl(), 3U);
}

TEST_F(Segments, ProtectedModeReadsTheDescriptorAndMarksItAccessed) {
    enter_protected(0);
    set_gdt(free1, system_descriptor(static_cast<x86::SystemType>(data_type), 0x12345678, 0x789) |
                       std::uint64_t{1} << 44);
    EXPECT_EQ(load(x86::ds, free1), none);
    const x86::Segment& ds = cpu.system.segments[x86::ds];
    EXPECT_EQ(ds.base, 0x12345678U);
    EXPECT_EQ(ds.limit, 0x789U);
    EXPECT_EQ(ds.attributes, 0x93);
    EXPECT_EQ(read<std::uint8_t>(gdt + free1 + 5), 0x93) << "accessed";
}

TEST_F(Segments, LimitsAndNullSelectors) {
    enter_protected(0);
    EXPECT_EQ(load(x86::ds, 0x100), gp(0x100)) << "beyond the GDT";
    EXPECT_EQ(load(x86::ds, 0x0C), gp(0x0C)) << "no LDT";
    EXPECT_EQ(load(x86::ds, 3), none);
    EXPECT_TRUE(cpu.system.segments[x86::ds].unusable);
    EXPECT_EQ(load(x86::ss, 0), gp(0));
    EXPECT_EQ(fault_of([&] { (void)cpu.load<std::uint8_t>(x86::ds, 0); }), gp(0))
        << "null segments have no bytes";
}

TEST_F(Segments, LocalDescriptorTable) {
    enter_protected(3);
    write<std::uint64_t>(ldt + 8, segment_descriptor(data_type, 3, Size::bits32));
    cpu.system.ldtr = {.selector = 0x68, .base = ldt, .limit = 15, .attributes = 0x82};
    EXPECT_EQ(load(x86::fs, 0x0F), none);
    EXPECT_EQ(load(x86::fs, 0x17), gp(0x14));
}

TEST_F(Segments, TypesAndPrivileges) {
    enter_protected(3);
    EXPECT_EQ(load(x86::ds, data0), gp(data0)) << "more privileged data";
    EXPECT_EQ(load(x86::ds, code0), gp(code0));
    EXPECT_EQ(load(x86::ds, conforming0), none) << "readable conforming code";
    EXPECT_EQ(load(x86::ds, task), gp(task)) << "system segment";
    set_gdt(free1, segment_descriptor(execute_only_type, 3, Size::bits32));
    EXPECT_EQ(load(x86::ds, free1 | 3), gp(free1)) << "execute-only";
    set_gdt(free1, not_present(segment_descriptor(data_type, 3, Size::bits32)));
    EXPECT_EQ(load(x86::ds, free1 | 3), np(free1));
}

TEST_F(Segments, RplWeakensTheCpl) {
    enter_protected(0);
    EXPECT_EQ(load(x86::es, data0 | 3), gp(data0));
    EXPECT_EQ(load(x86::es, data3), none);
}

TEST_F(Segments, StackSegmentsMatchTheCplExactly) {
    enter_protected(0);
    EXPECT_EQ(load(x86::ss, data0), none);
    EXPECT_EQ(load(x86::ss, data0 | 1), gp(data0));
    EXPECT_EQ(load(x86::ss, data3 & ~3), gp(data3 & ~3));
    EXPECT_EQ(load(x86::ss, code0), gp(code0));
    set_gdt(free1, segment_descriptor(read_only_type, 0, Size::bits32));
    EXPECT_EQ(load(x86::ss, free1), gp(free1));
    set_gdt(free1, not_present(segment_descriptor(data_type, 0, Size::bits32)));
    EXPECT_EQ(load(x86::ss, free1), ss(free1));
}

TEST_F(Segments, LongModeAllowsANullStackBelowUserPrivilege) {
    enter_long(0);
    EXPECT_EQ(load(x86::ss, 0), none);
    EXPECT_EQ(load(x86::ss, 3), gp(0));
    enter_long(3);
    EXPECT_EQ(load(x86::ss, 3), gp(0));
}

} // namespace
} // namespace strata::cpu::interpreter
