// Host code is proved to stay within bounds: code that does not is found out, whatever is wrong with it.
#include "cpu/translator/listing.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <gtest/gtest.h>

namespace strata::cpu::translator {
namespace {

using Bytes = std::vector<std::uint8_t>;

class HostCheck : public ::testing::Test {
protected:
    // Has the first instruction of the host code of `guest` that begins with `from` begin with `to`.
    std::string escape(const Bytes& guest, const Bytes& from, const Bytes& to) {
        bool found = false;
        const auto what = listing_.escape(guest, 0x40'1000, {}, [&](std::span<std::uint8_t> host) {
            ZydisDecoder decoder;
            ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
            ZydisDecodedInstruction info;
            while (!found && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, host.data(),
                                                                        host.size(), &info))) {
                found = std::ranges::equal(host.first(std::min(host.size(), from.size())), from);
                if (found) {
                    std::ranges::copy(to, host.begin());
                }
                host = host.subspan(info.length);
            }
        });
        EXPECT_TRUE(found);
        return what.value_or("");
    }

    const x86::Model& model_ = *x86::find_model("max").value();
    Listing listing_{model_, model_};

    const Bytes push_pop_{0x50, 0x5A}; // push rax; pop rdx
};

constexpr const char* uncovered = "accesses what no check has covered";

TEST_F(HostCheck, LetsPassWhatIsCovered) {
    EXPECT_EQ(listing_.escape(push_pop_, 0x40'1000, {}, [](auto) {}), std::nullopt);
}

// A loop that is there eight times over adds up in each round.
TEST_F(HostCheck, FollowsLongSums) {
    const Bytes loop{0x48, 0x8B, 0x77, 0x08,       // mov rsi, [rdi+8]
                     0x48, 0x8D, 0x4C, 0x31, 0x01, // lea rcx, [rcx+rsi+1]
                     0x44, 0x0F, 0xB6, 0x01,       // movzx r8d, byte [rcx]
                     0x85, 0xC0,                   // test eax, eax
                     0x75, 0xEF};                  // jne to the first
    EXPECT_EQ(listing_.escape(loop, 0x40'1000, {}, [](auto) {}), std::nullopt);
}

TEST_F(HostCheck, FindsAnAccessBesideTheCheckedOne) {
    // mov [r12+r14-8], rax becomes that of r12+r14-9, or of r12+r13-8
    EXPECT_NE(
        escape(push_pop_, {0x4B, 0x89, 0x44, 0x34, 0xF8}, {0x4B, 0x89, 0x44, 0x34, 0xF7}).find(uncovered),
        std::string::npos);
    EXPECT_NE(
        escape(push_pop_, {0x4B, 0x89, 0x44, 0x34, 0xF8}, {0x4B, 0x89, 0x44, 0x2C, 0xF8}).find(uncovered),
        std::string::npos);
}

TEST_F(HostCheck, FindsAWiderAccess) {
    const Bytes load_byte{0x8A, 0x07}; // mov al, [rdi]
    EXPECT_NE(escape(load_byte, {0x42, 0x8A, 0x04, 0x37}, {0x42, 0x8B, 0x04, 0x37}).find(uncovered), // eax
              std::string::npos);
}

TEST_F(HostCheck, FindsAWriteWhereReadsWereChecked) {
    const Bytes load{0x8B, 0x07}; // mov eax, [rdi]
    EXPECT_NE(escape(load, {0x42, 0x8B, 0x04, 0x37}, {0x42, 0x89, 0x04, 0x37}).find(uncovered),
              std::string::npos);
}

TEST_F(HostCheck, FindsACheckWithoutAJump) {
    const Bytes nop{0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00}; // as long as JO
    EXPECT_NE(escape(push_pop_, {0x0F, 0x80}, nop).find(uncovered), std::string::npos);
}

TEST_F(HostCheck, FindsAStaleAddend) {
    // The addend is overwritten before the access: mov r14, [rsp+..] becomes mov r13, [rsp+..]
    EXPECT_NE(escape(push_pop_, {0x4C, 0x8B, 0xB4, 0x24}, {0x4C, 0x8B, 0xAC, 0x24}).find(uncovered),
              std::string::npos);
}

TEST_F(HostCheck, FindsAJumpToAGuestsAddress) {
    const Bytes jump{0xFF, 0xE7}; // jmp rdi
    EXPECT_NE(escape(jump, {0x41, 0xFF, 0xE7}, {0x41, 0xFF, 0xE0}).find("unknown origin"), std::string::npos);
}

TEST_F(HostCheck, FindsATableIndexedByAGuestsRegister) {
    const Bytes jump{0xFF, 0xE7};
    // mov r15, [rsp+r14*8+..] becomes mov r15, [rsp+rdi*8+..]
    EXPECT_NE(escape(jump, {0x4E, 0x8B, 0xBC, 0xF4}, {0x4C, 0x8B, 0xBC, 0xFC}).find("not limited"),
              std::string::npos);
}

TEST_F(HostCheck, FindsTheHostsStackPointerChanged) {
    const Bytes add{0x48, 0x01, 0xC3}; // add rbx, rax
    EXPECT_NE(escape(add, {0x48, 0x01, 0xC3}, {0x48, 0x01, 0xC4}).find("stack pointer"), std::string::npos);
}

TEST_F(HostCheck, FindsASystemCall) {
    const Bytes nothing{0x85, 0xC0}; // test eax, eax
    EXPECT_NE(escape(nothing, {0x85, 0xC0}, {0x0F, 0x05}).find("leaves"), std::string::npos);
}

} // namespace
} // namespace strata::cpu::translator
