// Memory for translated code: what is written can be run, and no page is writable and executable at once.
#include "cpu/translator/code_memory.hpp"

#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

namespace strata::cpu::translator {
namespace {

TEST(CodeMemory, RunsWhatIsWritten) {
    auto memory = CodeMemory::create(std::size_t{1} << 16);
    ASSERT_TRUE(memory);
    constexpr std::uint8_t code[] = {0xB8, 0x2A, 0x00, 0x00, 0x00, 0xC3}; // mov eax, 42; ret
    std::uint8_t* const at = memory->next();
    std::memcpy(at, code, sizeof code);
    memory->take(sizeof code);
    int (*function)() = nullptr;
    const std::uintptr_t address = memory->executable(at);
    std::memcpy(&function, &address, sizeof address);
    EXPECT_EQ(function(), 42);
    EXPECT_EQ((memory->next() - at) % 16, 0);
}

TEST(CodeMemory, IsKeptAndSections) {
    auto memory = CodeMemory::create(std::size_t{1} << 16);
    ASSERT_TRUE(memory);
    const std::uint8_t* const kept = memory->next();
    memory->take(100);
    memory->keep();
    EXPECT_EQ(memory->section_of(memory->executable(kept)), std::nullopt);
    for (unsigned section = 0; section < CodeMemory::sections; ++section) {
        memory->enter(section);
        const std::size_t left = memory->left();
        EXPECT_GT(left, 8000U);
        EXPECT_EQ(memory->section_of(memory->executable(memory->next())), section);
        memory->take(left / 16 * 16);
        EXPECT_LT(memory->left(), 16U);
        EXPECT_EQ(memory->section_of(memory->executable(memory->next() - 16)), section);
    }
    EXPECT_EQ(memory->section_of(memory->executable(memory->next())), std::nullopt);
}

TEST(CodeMemory, IsNeverWritableAndExecutableAtOnce) {
    auto memory = CodeMemory::create(std::size_t{1} << 16);
    ASSERT_TRUE(memory);
    std::ifstream maps("/proc/self/maps");
    unsigned views = 0;
    for (std::string line; std::getline(maps, line);) {
        if (line.find("strata-code") == std::string::npos) {
            continue;
        }
        ++views;
        const std::string rights = line.substr(line.find(' ') + 1, 3);
        EXPECT_TRUE(rights == "rw-" || rights == "r-x") << line;
    }
    EXPECT_EQ(views, 2U);
}

} // namespace
} // namespace strata::cpu::translator
