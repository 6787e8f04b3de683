// A trace that was made in one place, by one processor, at one linear address, is good elsewhere: byte for
// byte what would have been made there.
#include "cpu/translator/listing.hpp"

#include <array>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sstream>
#include <string>

namespace strata::cpu::translator {
namespace {

using Bytes = std::vector<std::uint8_t>;

class CompiledTraces : public ::testing::Test {
protected:
    // Made at `from`, made good at `to` by another processor. Whether it could be compared.
    bool compare(const Bytes& code, std::uint64_t from, std::uint64_t to, const Listing::Guest& guest) {
        const auto made = one_.copies(code, from, guest, {.regions_taken = 3, .page_id = 7}, nullptr);
        if (!made.trace) {
            return false;
        }
        const auto parsed = CompiledTrace::parse(made.trace->bytes());
        EXPECT_TRUE(parsed && *parsed == *made.trace);
        const auto there =
            other_.copies(code, to, guest, {.regions_taken = 1000, .page_id = 0x1234'5678}, &*made.trace);
        // Not where a branch leads another way there, or an address does not fit.
        const bool same = there.trace && *there.trace == *made.trace;
        EXPECT_EQ(there.installed, same) << "something is not noted";
        EXPECT_TRUE(!same || there.copied == there.compiled);
        return same;
    }

    const x86::Model& model_ = *x86::find_model("max").value();
    Listing one_{model_, model_}, other_{model_, model_};
};

// Of kernels, of programs, and of those that are not slid: the ends of what 32 bits say.
struct Move {
    std::uint64_t from, to;
    bool narrow;
};

constexpr std::array moves{Move{0x40'1000, 0x7654'3000, false},
                           Move{0xFFFF'FFFF'8100'0000, 0xFFFF'FFFF'A5C4'2000, false},
                           Move{0x5555'5555'4000, 0x7FFF'F7DC'3000, false},
                           Move{0xFFFF'FFFF'C012'3000, 0xFFFF'FFFF'C012'3000, false},
                           Move{0x804'8000, 0xB7FE'1000, true},
                           Move{0xC100'0000, 0xC4C0'1000, true}};

Bytes bytes_of(const std::string& line) {
    std::istringstream in(line);
    Bytes bytes;
    for (unsigned byte = 0; in >> std::hex >> byte;) {
        bytes.push_back(static_cast<std::uint8_t>(byte));
    }
    return bytes;
}

TEST_F(CompiledTraces, AreGoodElsewhere) {
    std::ifstream in(CPU_TEST_FOLDER "/translated_code.txt");
    ASSERT_TRUE(in);
    unsigned compared = 0;
    for (std::string line; std::getline(in, line);) {
        const auto colon = line.find(": ");
        if (line.starts_with('#') || colon == std::string::npos) {
            continue;
        }
        const bool narrow = line.starts_with("32: ");
        for (const Move& move : moves) {
            if (move.narrow == narrow) {
                SCOPED_TRACE(::testing::Message() << line << std::hex << " at " << move.from);
                compared += compare(bytes_of(line.substr(colon + 2)), move.from, move.to,
                                    {.user = move.from < 1U << 31, .narrow = narrow})
                                ? 1
                                : 0;
                ASSERT_FALSE(HasFailure());
            }
        }
    }
    EXPECT_GT(compared, 800U);
}

TEST_F(CompiledTraces, OfAnyCodeAreGoodElsewhere) {
    std::mt19937_64 random(20261129); // the same each time
    const auto below = [&random](unsigned end) { return static_cast<unsigned>(random() % end); };
    unsigned compared = 0;
    for (unsigned i = 0; i < 3000; ++i) {
        Bytes code;
        while (code.size() < 100) {
            switch (below(6)) {
            case 0: code.push_back(static_cast<std::uint8_t>(random())); break;
            case 1:
                code.insert(code.end(), {0x48, 0x8B, 0x05, 0, static_cast<std::uint8_t>(random()), 0, 0});
                break;
            case 2: code.insert(code.end(), {0xE8, 0, static_cast<std::uint8_t>(random()), 0, 0}); break;
            case 3: code.insert(code.end(), {0x74, static_cast<std::uint8_t>(random())}); break;
            case 4:
                code.insert(code.end(), {0x48, 0x89, static_cast<std::uint8_t>(below(64) | 64), 8});
                break;
            default: code.push_back(static_cast<std::uint8_t>(0x50 | below(16))); break;
            }
        }
        const Move& move = moves[i % moves.size()];
        SCOPED_TRACE(i);
        const std::uint64_t at = below(8) * 400;
        compared +=
            compare(code, move.from + at, move.to + at, {.user = below(2) == 0, .narrow = move.narrow});
        ASSERT_FALSE(HasFailure());
    }
    EXPECT_GT(compared, 2000U);
}

} // namespace
} // namespace strata::cpu::translator
