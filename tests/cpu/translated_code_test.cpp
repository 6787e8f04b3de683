// The host code that typical instructions become, as text beside it: translated_code.txt. A worse translation
// shows as a difference; STRATA_UPDATE=1 in the environment writes the file anew.
#include "cpu/translator/listing.hpp"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

namespace strata::cpu::translator {
namespace {

constexpr std::uint64_t code_at = 0x40'1000;

class TranslatedCode : public ::testing::Test {
protected:
    // The guest's instructions, each followed by what it becomes. All of it keeps within bounds.
    std::string translate(std::span<const std::uint8_t> code, bool narrow) {
        const Listing::Guest kernel{.user = false, .narrow = narrow};
        EXPECT_EQ(listing_.escape(code, code_at, kernel, [](auto) {}), std::nullopt);
        std::string text;
        for (const ListedInstruction& instruction : listing_.translate(code, code_at, kernel)) {
            text += instruction.text + '\n';
            for (const ListedInstruction::Host& host : instruction.host) {
                text += "    " + host.text + '\n';
            }
        }
        return text;
    }

    const x86::Model& model_ = *x86::find_model("max").value();
    Listing listing_{model_, model_};
};

constexpr const char* narrow_mark = "32: "; // in front of 32-bit code

std::vector<std::uint8_t> bytes_of(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::uint8_t> bytes;
    for (unsigned byte = 0; in >> std::hex >> byte;) {
        bytes.push_back(static_cast<std::uint8_t>(byte));
    }
    return bytes;
}

// Paragraphs: a line of code in hexadecimal behind its mark, below it the guest's instructions and, indented,
// the host's.
TEST_F(TranslatedCode, IsWhatItWas) {
    const std::string name = CPU_TEST_FOLDER "/translated_code.txt";
    std::ifstream in(name);
    ASSERT_TRUE(in) << name;
    std::string expected, actual;
    for (std::string line; std::getline(in, line);) {
        expected += line + '\n';
        const auto colon = line.find(": ");
        if (line.starts_with('#')) {
            actual += line + '\n';
        } else if (colon != std::string::npos) {
            actual += '\n' + line + '\n' +
                      translate(bytes_of(line.substr(colon + 2)), line.starts_with(narrow_mark));
        }
    }
    if (std::getenv("STRATA_UPDATE") != nullptr) {
        std::ofstream(name) << actual;
        return;
    }
    std::istringstream was(expected), is(actual);
    std::string guest;
    for (std::string before, now; std::getline(was, before) && std::getline(is, now);) {
        guest = before.find(": ") != std::string::npos ? before : guest;
        ASSERT_EQ(now, before) << "in the translation of " << guest;
    }
    EXPECT_EQ(actual.size(), expected.size());
}

} // namespace
} // namespace strata::cpu::translator
