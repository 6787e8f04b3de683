// Translation, rights, faults and page-crossing accesses, as a program sees them.
#include "cpu_fixture.hpp"

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;

constexpr unsigned page_fault = 14, general_protection = 13, stack_fault = 12;

// A long-mode processor whose virtual address `window` maps 4 KiB pages through a table of its own.
class PagingTest : public ::testing::Test {
protected:
    static constexpr std::uint64_t window = 0x4000'0000, directory = 0x14000, table = 0x15000;
    static constexpr std::uint64_t first_page = 0x200000, second_page = 0x202000;

    PagingTest() : test(Mode::long64) {
        test.catch_exceptions();
        test.write<std::uint64_t>(TestCpu::page_tables_at + 0x1000 + 8, directory | 7);
        test.write<std::uint64_t>(directory, table | 7);
        map(0, first_page | 7);
        map(1, second_page | 7);
        test[x86::rbx] = window;
    }

    void map(unsigned index, std::uint64_t entry) { test.write<std::uint64_t>(table + index * 8, entry); }

    [[nodiscard]] std::uint64_t entry(unsigned index) const {
        return test.read<std::uint64_t>(table + index * 8);
    }

    // The error code on the handler's stack; 0 if none was pushed.
    [[nodiscard]] std::uint64_t error_code() { return test.read<std::uint64_t>(test[x86::rsp]); }

    TestCpu test;
};

TEST_F(PagingTest, ReadsAndWritesThroughTheTable) {
    test.write<std::uint64_t>(first_page + 8, 0x1122334455667788);
    test.run(
        {0x48, 0x8B, 0x43, 0x08, 0x48, 0x89, 0x83, 0, 0x10, 0, 0}); // mov rax, [rbx+8]; mov [rbx+0x1000], rax
    EXPECT_EQ(test.read<std::uint64_t>(second_page), 0x1122334455667788U);
}

TEST_F(PagingTest, SetsAccessedAndDirtyWhenTheyAreDue) {
    test.run({0x8A, 0x03}); // mov al, [rbx]
    EXPECT_EQ(entry(0), first_page | 0x27);
    EXPECT_EQ(entry(1), second_page | 7);
    test.run({0x88, 0x03}); // mov [rbx], al
    EXPECT_EQ(entry(0), first_page | 0x67);
}

TEST_F(PagingTest, ReportsANotPresentPage) {
    map(0, first_page | 6);
    test.run({0x88, 0x43, 0x10});
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(test.cpu->system.cr2, window + 0x10);
    EXPECT_EQ(error_code(), 2U); // write
}

TEST_F(PagingTest, ReportsAReservedBit) {
    map(0, first_page | 7 | 1ULL << 51);
    test.run({0x8A, 0x03});
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(error_code(), 9U); // present, reserved
}

TEST_F(PagingTest, ReadOnlyPagesBindTheSupervisorOnlyWithWriteProtect) {
    map(0, first_page | 5);
    test.run({0x88, 0x03});
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(error_code(), 3U);
    test.cpu->system.cr0 &= ~x86::cr0::wp;
    test.cpu->mode_changed();
    test.run({0xB0, 0x5A, 0x88, 0x03});
    EXPECT_EQ(test.read<std::uint8_t>(first_page), 0x5A);
}

TEST_F(PagingTest, NoExecuteIsHonoured) {
    map(0, first_page | 7 | 1ULL << 63);
    test.run({0xFF, 0xE3}); // jmp rbx
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(error_code(), 0x11U);
    EXPECT_EQ(test.cpu->system.cr2, window);
}

TEST_F(PagingTest, SmapLetsTheSupervisorReadUserPagesWithAcOnly) {
    test.cpu->system.cr4 |= x86::cr4::smap;
    // Everything else becomes a supervisor page.
    for (std::uint64_t i = 0; i < 512; ++i) {
        const std::uint64_t at = TestCpu::page_tables_at + 0x2000 + i * 8;
        test.write<std::uint64_t>(at, test.read<std::uint64_t>(at) & ~std::uint64_t{4});
    }
    test.cpu->flush_tlb(true);
    test.cpu->mode_changed();
    test.run({0x0F, 0x01, 0xCB, 0x8A, 0x03, 0x0F, 0x01, 0xCA}); // stac; mov al, [rbx]; clac
    EXPECT_FALSE(test.caught());
    test.run({0x8A, 0x03});
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(error_code(), 1U);
}

TEST_F(PagingTest, ACrossingWriteChecksBothPagesFirst) {
    map(1, second_page | 6);
    test.write<std::uint64_t>(first_page + 0xFF8, 0);
    test.run(
        {0x48, 0x83, 0xC8, 0xFF, 0x48, 0x89, 0x83, 0xFC, 0x0F, 0, 0}); // or rax, -1; mov [rbx+0xffc], rax
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(test.cpu->system.cr2, window + 0x1000);
    EXPECT_EQ(test.read<std::uint64_t>(first_page + 0xFF8), 0U);
}

TEST_F(PagingTest, ACrossingWriteReachesBothPages) {
    test.run({0x48, 0xB8, 8, 7, 6, 5, 4, 3, 2, 1, 0x48, 0x89, 0x83, 0xFC, 0x0F, 0, 0});
    EXPECT_EQ(test.read<std::uint32_t>(first_page + 0xFFC), 0x05060708U);
    EXPECT_EQ(test.read<std::uint32_t>(second_page), 0x01020304U);
}

TEST_F(PagingTest, InvlpgMakesAChangedEntrySeen) {
    test.write<std::uint8_t>(first_page, 1);
    test.write<std::uint8_t>(second_page, 2);
    test.run({0x8A, 0x03});
    EXPECT_EQ(test[x86::rax], 1U);
    map(0, second_page | 7);
    test.run({0x0F, 0x01, 0x3B, 0x8A, 0x03}); // invlpg [rbx]; mov al, [rbx]
    EXPECT_EQ(test[x86::rax], 2U);
}

TEST_F(PagingTest, InvlpgDropsAllOfALargePage) {
    test.write<std::uint64_t>(directory + 8, 0x200000 | 0x87);
    test.write<std::uint8_t>(0x200000, 1);
    test.write<std::uint8_t>(0x201000, 2);
    test.write<std::uint8_t>(0x401000, 4);
    // mov al, [rbx+0x201000]; invlpg of the page's beginning
    test.run({0x8A, 0x83, 0, 0x10, 0x20, 0});
    EXPECT_EQ(test[x86::rax], 2U);
    test.write<std::uint64_t>(directory + 8, 0x400000 | 0x87);
    test.run({0x0F, 0x01, 0xBB, 0, 0, 0x20, 0, 0x8A, 0x83, 0, 0x10, 0x20, 0});
    EXPECT_EQ(test[x86::rax], 4U);
}

TEST_F(PagingTest, GlobalPagesSurviveALoadOfCr3) {
    test.cpu->system.cr4 |= x86::cr4::pge;
    test.cpu->mode_changed();
    map(0, first_page | 0x107);
    test.write<std::uint8_t>(first_page, 1);
    test.write<std::uint8_t>(second_page, 2);
    test.run({0x8A, 0x03, 0x8A, 0xA3, 0, 0x10, 0, 0}); // mov al, [rbx]; mov ah, [rbx+0x1000]
    map(0, second_page | 0x107);
    map(1, first_page | 7);
    test.run({0x0F, 0x20, 0xD9, 0x0F, 0x22, 0xD9, 0x8A, 0x03, 0x8A, 0xA3, 0, 0x10, 0,
              0}); // mov rcx, cr3; mov cr3, rcx
    EXPECT_EQ(test[x86::rax] & 0xFFFF, 0x0101U);
}

TEST_F(PagingTest, NonCanonicalAddressesFaultByTheirSegment) {
    test.run({0x48, 0xC1, 0xE3, 0x12, 0x8A, 0x03}); // shl rbx, 18; mov al, [rbx]
    EXPECT_EQ(test.caught(), general_protection);
    test[x86::rbp] = 1ULL << 47;
    test.run({0x8A, 0x45, 0x00}); // mov al, [rbp]
    EXPECT_EQ(test.caught(), stack_fault);
}

TEST_F(PagingTest, DeviceMemoryIsReadInTheBusSizes) {
    map(0, 0xF000'0000 | 7);
    test.bus.mmio[0xF000'0010] = 0x8877665544332211;
    test.run({0x48, 0x8B, 0x43, 0x10, 0x66, 0x89, 0x43, 0x20}); // mov rax, [rbx+16]; mov [rbx+32], ax
    EXPECT_EQ(test[x86::rax], 0x8877665544332211U);
    ASSERT_EQ(test.bus.mmio_writes.size(), 1U);
    EXPECT_EQ(test.bus.mmio_writes[0], (testing::FakeBus::Write{0xF000'0020, 2, 0x2211}));
}

TEST(LegacyPagingTest, FourMegabytePagesAndUserRights) {
    TestCpu test(Mode::protected32);
    test.catch_exceptions();
    // A directory of 4 MiB pages: the first to itself, the second to physical 0x400000 too, supervisor
    // read-only.
    test.write<std::uint32_t>(TestCpu::page_tables_at, 0x87);
    test.write<std::uint32_t>(TestCpu::page_tables_at + 4, 0x400000 | 0x81);
    test.cpu->system.cr3 = TestCpu::page_tables_at;
    test.cpu->system.cr4 |= x86::cr4::pse;
    test.cpu->system.cr0 |= x86::cr0::pg | x86::cr0::wp;
    test.cpu->mode_changed();
    test.write<std::uint32_t>(0x400100, 0xCAFE);
    test.run({0xA1, 0x00, 0x01, 0x40, 0x00}); // mov eax, [0x400100]
    EXPECT_EQ(test[x86::rax], 0xCAFEU);
    EXPECT_EQ(test.read<std::uint32_t>(TestCpu::page_tables_at + 4), 0x400000U | 0xA1);
    test.run({0xA3, 0x00, 0x01, 0x40, 0x00}); // mov [0x400100], eax
    EXPECT_EQ(test.caught(), page_fault);
    EXPECT_EQ(test.cpu->system.cr2, 0x400100U);
}

// Two address spaces, PCIDs 1 and 2; `window` is first_page in one, second_page in the other.
class PcidTest : public PagingTest {
protected:
    static constexpr std::uint64_t second_root = 0x16000, second_table = 0x19000;

    PcidTest() {
        const auto table_entry = [&](std::uint64_t at) { return test.read<std::uint64_t>(at); };
        test.write<std::uint64_t>(second_root, 0x17000 | 7);
        test.write<std::uint64_t>(0x17000, table_entry(TestCpu::page_tables_at + 0x1000));
        test.write<std::uint64_t>(0x17008, 0x18000 | 7);
        test.write<std::uint64_t>(0x18000, second_table | 7);
        test.write<std::uint64_t>(second_table, second_page | 0x67);
        test.write<std::uint8_t>(first_page, 1);
        test.write<std::uint8_t>(second_page, 2);
        map(0, first_page | 0x67);
        test.cpu->system.cr4 |= x86::cr4::pcide;
        test.cpu->mode_changed();
        enter_first(false);
    }

    void enter_first(bool keep) { test.cpu->load_cr3(TestCpu::page_tables_at | 1, keep); }

    void enter_second(bool keep) { test.cpu->load_cr3(second_root | 2, keep); }

    [[nodiscard]] std::uint64_t byte_at_window() {
        test.run({0x0F, 0xB6, 0x03}); // movzx eax, byte [rbx]
        return test[x86::rax];
    }
};

TEST_F(PcidTest, EachHasItsTranslations) {
    EXPECT_EQ(byte_at_window(), 1U);
    enter_second(true);
    EXPECT_EQ(byte_at_window(), 2U);
    enter_first(true);
    EXPECT_EQ(byte_at_window(), 1U);
}

TEST_F(PcidTest, TranslationsOutliveASwitchIfTheyMay) {
    EXPECT_EQ(byte_at_window(), 1U);
    map(0, second_page | 0x67); // nobody was told
    enter_second(true);
    enter_first(true);
    EXPECT_EQ(byte_at_window(), 1U);
    enter_second(true);
    enter_first(false);
    EXPECT_EQ(byte_at_window(), 2U);
}

TEST_F(PcidTest, WhatIsInvalidatedWhileAwayIsGone) {
    for (const bool all : {false, true}) {
        map(0, first_page | 0x67);
        enter_first(false);
        EXPECT_EQ(byte_at_window(), 1U);
        enter_second(true);
        map(0, second_page | 0x67);
        all ? test.cpu->flush_tlb(true) : test.cpu->invalidate_pcid(1);
        enter_first(true);
        EXPECT_EQ(byte_at_window(), 2U);
    }
}

TEST_F(PcidTest, APageThatBecameCodeMeanwhileIsWatched) {
    test.run({0xC6, 0x03, 0x90}); // mov byte [rbx], 0x90
    enter_second(true);
    map(0, first_page | 0x67);
    test.run({0xB0, 0x11}, first_page); // mov al, 0x11
    EXPECT_EQ(test[x86::rax] & 0xFF, 0x11U);
    enter_first(true);
    test[x86::rbx] = window + 1;
    test.run({0xC6, 0x03, 0x22}); // mov byte [rbx], 0x22
    enter_second(true);
    test.cpu->rip() = first_page;
    test.cpu->activity = x86::Activity::active;
    EXPECT_EQ(test.resume(), Exit::halt);
    EXPECT_EQ(test[x86::rax] & 0xFF, 0x22U);
}

} // namespace
} // namespace strata::cpu
