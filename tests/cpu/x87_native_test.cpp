// Every x87 instruction against the host's own, on random operands, control words and stacks.
#include "native_comparison.hpp"

namespace strata::cpu::testing {
namespace {

using X87Native = NativeComparison;

constexpr std::uint8_t rdx_operand = 2; // ModRM.rm

TEST_F(X87Native, RegisterForms) {
    for (unsigned escape = 0xD8; escape <= 0xDF; ++escape) {
        for (unsigned modrm = 0xC0; modrm <= 0xFF; ++modrm) {
            compare({static_cast<std::uint8_t>(escape), static_cast<std::uint8_t>(modrm)}, 60);
        }
    }
}

TEST_F(X87Native, MemoryForms) {
    for (unsigned escape = 0xD8; escape <= 0xDF; ++escape) {
        for (unsigned extension = 0; extension < 8; ++extension) {
            const auto modrm = static_cast<std::uint8_t>(extension << 3 | rdx_operand);
            compare({static_cast<std::uint8_t>(escape), modrm}, 300);
            compare({0x66, static_cast<std::uint8_t>(escape), modrm}, 20);
            compare({0x48, static_cast<std::uint8_t>(escape), modrm}, 20);
        }
    }
}

TEST_F(X87Native, Wait) { compare({0x9B}, 200); }

} // namespace
} // namespace strata::cpu::testing
