// How translated code reaches memory: regions, and accesses that share one.
#include "cpu/interpreter/decoder.hpp"
#include "cpu/translator/flags.hpp"
#include "cpu/translator/regions.hpp"
#include "cpu/translator/register_map.hpp"
#include "cpu/translator/sharing.hpp"
#include "cpu/x86/state.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <initializer_list>
#include <memory>

namespace strata::cpu::translator {
namespace {

using interpreter::tag_of;
using interpreter::TlbEntry;

constexpr std::uint64_t page = memory::page_size;
constexpr std::uint64_t kernel = 0xFFFF'8880'0000'0000;

class RegionsTest : public ::testing::Test {
protected:
    static constexpr std::uint64_t addend = 0x7000'0000'0000;

    void map(std::uint64_t linear, std::uint64_t physical, std::uint64_t bits = 0) {
        TlbEntry entry = set_->at(linear);
        entry.read_tag = entry.write_tag = tag_of(linear);
        entry.addend = addend + physical - linear;
        entry.physical = physical | bits;
    }

    RegionUse& take(unsigned bytes, bool writes) {
        uses_.push_back(std::make_unique<RegionUse>(
            RegionUse{.last = static_cast<std::uint16_t>(bytes - 1), .writes = writes}));
        EXPECT_TRUE(regions_->take(*uses_.back()));
        return *uses_.back();
    }

    std::unique_ptr<interpreter::TlbSet> set_ = std::make_unique<interpreter::TlbSet>();
    std::unique_ptr<Regions> regions_{new Regions};
    std::vector<std::unique_ptr<RegionUse>> uses_;
};

TEST_F(RegionsTest, HoldsWhatLiesInsideWithBothEnds) {
    map(0x40'0000, 0x10'0000);
    RegionUse& use = take(8, false);
    EXPECT_FALSE(regions_->holds(use, 0x40'0000));
    regions_->fill(use, *set_, 0x40'0123);
    EXPECT_TRUE(regions_->holds(use, 0x40'0000));
    EXPECT_TRUE(regions_->holds(use, 0x40'0FF8));
    EXPECT_FALSE(regions_->holds(use, 0x40'0FF9));
    EXPECT_FALSE(regions_->holds(use, 0x3F'FFFF));
}

TEST_F(RegionsTest, JoinsPagesOnlyWhereAllAddressesGoOn) {
    map(0x40'0000, 0x10'0000);
    map(0x40'1000, 0x10'1000);
    map(0x40'2000, 0x20'0000);
    RegionUse& use = take(8, false);
    regions_->fill(use, *set_, 0x40'0000);
    EXPECT_TRUE(regions_->holds(use, 0x40'0FFC));
    EXPECT_FALSE(regions_->holds(use, 0x40'1FFC));
}

TEST_F(RegionsTest, GrowsAtItsEnd) {
    RegionUse& use = take(1, true);
    for (std::uint64_t i = 0; i < 100; ++i) {
        map(0x40'0000 + i * page, 0x10'0000 + i * page);
        regions_->fill(use, *set_, 0x40'0000 + i * page);
        set_->at(0x40'0000 + i * page).drop(); // another page has its place
    }
    EXPECT_TRUE(regions_->holds(use, 0x40'0000));
    EXPECT_TRUE(regions_->holds(use, 0x40'0000 + 100 * page - 1));
    EXPECT_FALSE(regions_->holds(use, 0x40'0000 + 100 * page));
}

TEST_F(RegionsTest, GoWithTheirTranslations) {
    map(0x40'0000, 0x10'0000);
    map(kernel, 0x20'0000, TlbEntry::global);
    RegionUse &user = take(8, false), &global = take(8, false);
    const auto fill = [&] {
        regions_->fill(user, *set_, 0x40'0000);
        regions_->fill(global, *set_, kernel);
        EXPECT_TRUE(regions_->holds(user, 0x40'0000));
        EXPECT_TRUE(regions_->holds(global, kernel));
    };
    fill();
    regions_->flushed_but_global();
    EXPECT_FALSE(regions_->holds(user, 0x40'0000));
    EXPECT_TRUE(regions_->holds(global, kernel));
    fill();
    regions_->invalidated(0x40'0000);
    EXPECT_FALSE(regions_->holds(user, 0x40'0000));
    EXPECT_TRUE(regions_->holds(global, kernel));
    fill();
    regions_->invalidated(kernel);
    EXPECT_FALSE(regions_->holds(global, kernel));
    fill();
    regions_->flushed_all();
    EXPECT_FALSE(regions_->holds(user, 0x40'0000));
    EXPECT_FALSE(regions_->holds(global, kernel));
}

// A place that had a global page and then another goes with both.
TEST_F(RegionsTest, IsForgottenHoweverOftenItWasFilled) {
    map(kernel, 0x20'0000, TlbEntry::global);
    map(0x40'0000, 0x10'0000);
    RegionUse& use = take(8, false);
    regions_->fill(use, *set_, kernel);
    regions_->fill(use, *set_, 0x40'0000);
    regions_->flushed_but_global();
    EXPECT_FALSE(regions_->holds(use, 0x40'0000));
    regions_->fill(use, *set_, kernel);
    regions_->flushed_but_global();
    EXPECT_TRUE(regions_->holds(use, kernel));
}

TEST_F(RegionsTest, LosesPagesThatBecomeCode) {
    map(0x40'0000, 0x10'0000);
    map(0x40'1000, 0x10'1000);
    RegionUse &reads = take(8, false), &writes = take(8, true);
    regions_->fill(reads, *set_, 0x40'0000);
    regions_->fill(writes, *set_, 0x40'0000);
    regions_->writes_forbidden(0x10'2000);
    EXPECT_TRUE(regions_->holds(writes, 0x40'0000));
    regions_->writes_forbidden(0x10'1000);
    EXPECT_FALSE(regions_->holds(writes, 0x40'0000));
    EXPECT_TRUE(regions_->holds(reads, 0x40'0000));
}

class TraceTest : public ::testing::Test {
protected:
    void find(std::initializer_list<int> code) {
        std::array<std::uint8_t, memory::page_size> bytes;
        bytes.fill(0xF4);
        std::ranges::copy(code, bytes.begin());
        const interpreter::CodeMode mode{.size = interpreter::CodeMode::Size::bits64, .real_or_v86 = false};
        trace_.find(decoder_, mode, bytes, 0x40'1000, true);
    }

    interpreter::Decoder decoder_{*x86::find_model("max").value()};
    Trace trace_;
    Sharing sharing_;
};

// push rbp; push rbx; sub rsp, 0x18; mov [rsp + 8], rax
TEST_F(TraceTest, FramesShareACheck) {
    find({0x55, 0x53, 0x48, 0x83, 0xEC, 0x18, 0x48, 0x89, 0x44, 0x24, 0x08});
    sharing_.plan(trace_.instructions());
    ASSERT_EQ(sharing_.groups().size(), 1U);
    EXPECT_EQ(distance(0, sharing_.groups()[0].lowest), -0x20);
    EXPECT_EQ(sharing_.groups()[0].length, 0x20U);
    EXPECT_TRUE(sharing_.groups()[0].writes);
    EXPECT_EQ(distance(0, sharing_.access(3, 0).offset), -0x20);
}

// mov rax, [0xFFFF900000000000]; mov rax, [0x7FFFFFFFFFFF0000]: further apart than a signed number says
TEST_F(TraceTest, AddressesAtBothEndsAreGroupsOfTheirOwn) {
    find({0x48, 0xA1, 0, 0, 0, 0, 0, 0x90, 0xFF, 0xFF, 0x48, 0xA1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F});
    sharing_.plan(trace_.instructions());
    ASSERT_EQ(sharing_.groups().size(), 2U);
    EXPECT_EQ(sharing_.groups()[0].length, 8U);
    EXPECT_EQ(sharing_.groups()[1].length, 8U);
}

// mov rax, [0x7FFFFFFFFFFFFFFC]; mov rax, [0x8000000000000004]: where signed numbers go round
TEST_F(TraceTest, NeighboursShareACheckWhereverTheyAre) {
    find({0x48, 0xA1, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x48, 0xA1, 4, 0, 0, 0, 0, 0, 0, 0x80});
    sharing_.plan(trace_.instructions());
    ASSERT_EQ(sharing_.groups().size(), 1U);
    EXPECT_EQ(sharing_.groups()[0].lowest, 0x7FFF'FFFF'FFFF'FFFCU);
    EXPECT_EQ(sharing_.groups()[0].length, 16U);
}

// mov rax, [rdi]; mov rdi, [rdi + 8]; mov rcx, [rdi + 16]
TEST_F(TraceTest, AChangedRegisterIsAnotherGroup) {
    find({0x48, 0x8B, 0x07, 0x48, 0x8B, 0x7F, 0x08, 0x48, 0x8B, 0x4F, 0x10});
    sharing_.plan(trace_.instructions());
    ASSERT_EQ(sharing_.groups().size(), 2U);
    EXPECT_EQ(sharing_.groups()[0].accesses, 2U);
    EXPECT_EQ(sharing_.access(2, 0).group, 1U);
}

// mov rax, [rdi]; mov rcx, [rdi + 0x1000]
TEST_F(TraceTest, WhatIsFarApartDoesNotShare) {
    find({0x48, 0x8B, 0x07, 0x48, 0x8B, 0x8F, 0x00, 0x10, 0x00, 0x00});
    sharing_.plan(trace_.instructions());
    EXPECT_EQ(sharing_.groups().size(), 2U);
}

// jz over; jmp over; nop; over: dec rdi; jnz to the first
TEST_F(TraceTest, FollowsForwardJumpsAndFindsItsLoop) {
    find({0x74, 0x03, 0xEB, 0x01, 0x90, 0x48, 0xFF, 0xCF, 0x75, 0xF6});
    ASSERT_EQ(trace_.instructions().size(), 8 * 4U); // eight rounds
    EXPECT_EQ(trace_.instructions()[2].rip, 0x40'1005U);
    EXPECT_TRUE(trace_.loops());
}

// mul r14; add r14, r15; add r15, r14; add r14, r15; dec r14; jnz to the first
TEST_F(TraceTest, HasInRegistersWhatItUses) {
    find({0x49, 0xF7, 0xE6, 0x4D, 0x01, 0xFE, 0x4D, 0x01, 0xF7, 0x4D, 0x01, 0xFE, 0x49, 0xFF, 0xCE, 0x75,
          0xEF});
    const RegisterMap map(trace_);
    EXPECT_TRUE(map.host(x86::r14) && map.host(x86::r15));
    EXPECT_EQ(map.exchanges().size(), 2U);
    // MUL implies two, and the stack is where it is.
    EXPECT_EQ(map.host(x86::rax), usual_registers.host(x86::rax));
    EXPECT_EQ(map.host(x86::rdx), usual_registers.host(x86::rdx));
    EXPECT_EQ(map.host(x86::rsp), usual_registers.host(x86::rsp));
    find({0x4D, 0x01, 0xFE}); // add r14, r15: not worth it
    EXPECT_TRUE(RegisterMap(trace_).exchanges().empty());
}

TEST_F(TraceTest, BorrowsTheFlagThatIsNotNeeded) {
    find({0x48, 0x8B, 0x07, 0x72, 0x10}); // mov rax, [rdi]; jb
    EXPECT_EQ(flag_to_borrow(trace_.instructions()), Borrowed::of);
    find({0x48, 0x8B, 0x07, 0x7C, 0x10}); // mov rax, [rdi]; jl
    EXPECT_EQ(flag_to_borrow(trace_.instructions()), Borrowed::cf);
    find({0x48, 0x8B, 0x07, 0x48, 0xFF, 0xC0, 0x72, 0x10}); // mov rax, [rdi]; inc rax; jb
    EXPECT_EQ(flag_to_borrow(trace_.instructions()), Borrowed::of);
}

// Shifts by rCX may leave all flags alone, shifts by more than one leave OF undefined.
TEST_F(TraceTest, ShiftsMayKeepFlags) {
    find({0x48, 0xD3, 0xE0, 0x48, 0xC1, 0xE0, 0x02, 0x48, 0x01, 0xC0});
    const FlagEffects by_rcx = flag_effects(trace_.instructions()[0]);
    EXPECT_TRUE(by_rcx.needs.cf && by_rcx.needs.of);
    EXPECT_FALSE(by_rcx.overwrites.cf || by_rcx.overwrites.of);
    const FlagEffects by_two = flag_effects(trace_.instructions()[1]);
    EXPECT_TRUE(by_two.overwrites.cf && by_two.needs.of);
    const FlagEffects add = flag_effects(trace_.instructions()[2]);
    EXPECT_TRUE(add.overwrites.cf && add.overwrites.of && !add.needs.cf && !add.needs.of);
}

} // namespace
} // namespace strata::cpu::translator
