// Host code is proved to stay within bounds: code that does not is found out, whatever is wrong with it.
#include "cpu/translator/listing.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <ios>
#include <random>
#include <utility>
#include <vector>

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

// Absolute addresses may be as far from each other as addresses are. What has been checked for one of a pair
// does not do for the other, nor where all places for pointers are taken.
TEST_F(HostCheck, LetsPassAddressesThatAreFarApart) {
    const std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs{
        {0xFFFF'9000'0000'0000, 0x7FFF'FFFF'FFFF'0000}, {0x1000'0000'0000, 0x8000'0000'0000'0000},
        {0x8000'0000'0000'0000, 0x1000'0000'0000},      {0x753C'9A3C'A5E9'21E7, 0xB940'CED0'C791'AD8E},
        {0x7FFF'FFFF'FFFF'FFFC, 0x8000'0000'0000'0004}, {0, ~std::uint64_t{0}}};
    for (const auto& [one, other] : pairs) {
        for (const unsigned groups_before : {0U, 8U, 9U}) {
            Bytes code;
            const auto load = [&code](std::uint64_t address) { // mov rax, [address]
                code.insert(code.end(), {0x48, 0xA1});
                for (unsigned byte = 0; byte < 8; ++byte) {
                    code.push_back(static_cast<std::uint8_t>(address >> 8 * byte));
                }
            };
            for (unsigned group = 0; group < groups_before; ++group) {
                load(0x1'0000 * (group + 1));
                load(0x1'0000 * (group + 1));
            }
            load(one);
            load(other);
            EXPECT_EQ(listing_.escape(code, 0x40'1000, {}, [](auto) {}), std::nullopt)
                << std::hex << one << " and " << other << " behind " << groups_before;
        }
    }
}

// Whatever bytes a guest has executed.
TEST_F(HostCheck, LetsPassWhatIsMadeOfAnyCode) {
    std::mt19937_64 random(20261128); // the same each time
    const auto below = [&random](unsigned end) { return static_cast<unsigned>(random() % end); };
    const auto append = [](Bytes& code, std::uint64_t value, unsigned size) {
        for (unsigned byte = 0; byte < size; ++byte) {
            code.push_back(static_cast<std::uint8_t>(value >> 8 * byte));
        }
    };
    // Small, near an end of what numbers hold, or any.
    const auto number = [&]() -> std::uint64_t {
        constexpr std::array<std::uint64_t, 6> ends{0,
                                                    0x7FFF'FFFF,
                                                    0x8000'0000,
                                                    std::uint64_t{1} << 47,
                                                    std::uint64_t{1} << 63,
                                                    ~((std::uint64_t{1} << 47) - 1)};
        return below(3) == 0 ? random() : ends[below(ends.size())] + below(512) - 256;
    };
    for (unsigned i = 0; i < 1500; ++i) {
        Bytes code;
        while (code.size() < 100) {
            switch (below(4)) {
            case 0: append(code, random(), 1 + below(8)); break;
            case 1: // MOV between rAX and an address, wide or narrow
                append(code, 0xA040 | below(4) << 8 | below(2) << 3, 2);
                append(code, number(), 8);
                break;
            case 2: // MOV, ADD or LEA with a register and a displacement
                append(code, 0x48 | below(2) | below(2) << 2, 1);
                append(code, std::array{0x8B, 0x89, 0x03, 0x8D}[below(4)], 1);
                append(code, 0x80 | below(64), 1);
                append(code, number(), 4);
                break;
            default: append(code, 0x50 | below(16), 1); break; // PUSH, POP
            }
        }
        const Listing::Guest guest{.user = below(2) == 0, .narrow = below(3) == 0};
        ASSERT_EQ(listing_.escape(code, 0x40'1000, guest, [](auto) {}), std::nullopt) << "case " << i;
    }
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

TEST_F(HostCheck, FindsTenBytesForEight) {
    const Bytes store{0xDD, 0x1F}; // fstp qword [rdi] becomes fstp tword [rdi]
    EXPECT_NE(escape(store, {0x42, 0xDD, 0x1C, 0x37}, {0x42, 0xDB, 0x3C, 0x37}).find(uncovered),
              std::string::npos);
}

// What would unmask the host's exceptions.
TEST_F(HostCheck, FindsAControlWordOfTheGuests) {
    const Bytes load{0xD9, 0x2B};             // fldcw [rbx]
    const Bytes from_table{0xD9, 0xAC, 0xCC}; // fldcw [rsp+rcx*8+..]
    EXPECT_NE(escape(load, from_table, {0xD9, 0xAC, 0xDC}).find("not limited"), std::string::npos); // rbx
    EXPECT_NE(escape(load, from_table, {0xDD, 0xA4, 0xCC}).find("loads a unit's state"), std::string::npos);
    // The word in memory itself.
    const Bytes add{0xD8, 0x03}; // fadd dword [rbx]
    EXPECT_NE(escape(add, {0x42, 0xD8, 0x04, 0x33}, {0x42, 0xD9, 0x2C, 0x33}).find("unknown origin"),
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

// lock bts [rcx+r14], r15, by a number of this element: by another, and by one of a wider element.
TEST_F(HostCheck, FindsABitBeyondTheElement) {
    const Bytes wide{0xF0, 0x48, 0x0F, 0xAB, 0x07}, narrow{0xF0, 0x0F, 0xAB, 0x07}; // lock bts [rdi], rax
    EXPECT_EQ(listing_.escape(wide, 0x40'1000, {}, [](auto) {}), std::nullopt);
    EXPECT_NE(escape(wide, {0xF0, 0x4E, 0x0F, 0xAB, 0x3C, 0x31}, {0xF0, 0x4A, 0x0F, 0xAB, 0x04, 0x31})
                  .find("may be anywhere"),
              std::string::npos);
    EXPECT_NE(escape(wide, {0xF0, 0x4E, 0x0F, 0xAB, 0x3C, 0x31}, {0xF0, 0x46, 0x0F, 0xAB, 0x3C, 0x31})
                  .find("may be anywhere"),
              std::string::npos);
    EXPECT_NE(escape(narrow, {0xF0, 0x46, 0x0F, 0xAB, 0x3C, 0x31}, {0xF0, 0x4E, 0x0F, 0xAB, 0x3C, 0x31})
                  .find("may be anywhere"),
              std::string::npos);
}

// Of the string's first element, where another was checked: mov rcx, [rcx+r14] becomes mov rcx, [rdi+r14]
TEST_F(HostCheck, FindsAnotherElement) {
    const Bytes test{0x48, 0x0F, 0xA3, 0x07}; // bt [rdi], rax
    EXPECT_EQ(listing_.escape(test, 0x40'1000, {}, [](auto) {}), std::nullopt);
    EXPECT_NE(escape(test, {0x4A, 0x8B, 0x0C, 0x31}, {0x4A, 0x8B, 0x0C, 0x37}).find(uncovered),
              std::string::npos);
}

TEST_F(HostCheck, FindsASystemCall) {
    const Bytes nothing{0x85, 0xC0}; // test eax, eax
    EXPECT_NE(escape(nothing, {0x85, 0xC0}, {0x0F, 0x05}).find("leaves"), std::string::npos);
}

} // namespace
} // namespace strata::cpu::translator
