// Every MMX instruction, with SSE's and SSSE3's additions, against the host's own on random operands.
#include "native_comparison.hpp"

#include <algorithm>
#include <iterator>

namespace strata::cpu::testing {
namespace {

class MmxNative : public NativeComparison {
protected:
    // With operands MM3 and MM5, MM5 twice, and MM3 and memory; `prefix` before, `immediate` behind.
    void compare_forms(const Bytes& prefix, const Bytes& opcode, unsigned count,
                       const Bytes& immediate = {}) {
        for (const std::uint8_t modrm : Bytes{register_operands, same_register, memory_operand}) {
            Bytes instruction;
            for (const Bytes& part : {prefix, opcode, Bytes{modrm}, immediate}) {
                std::ranges::copy(part, std::back_inserter(instruction));
            }
            compare(instruction, count);
        }
    }

    static constexpr std::uint8_t register_operands = 0xDD, same_register = 0xED, memory_operand = 0x1A;
};

TEST_F(MmxNative, Packed) {
    constexpr std::pair<unsigned, unsigned> ranges[] = {{0x60, 0x6B}, {0x74, 0x76}, {0xD1, 0xD5},
                                                        {0xD8, 0xDF}, {0xE0, 0xE5}, {0xE8, 0xEF},
                                                        {0xF1, 0xF6}, {0xF8, 0xFE}};
    for (const auto& [first, last] : ranges) {
        for (unsigned opcode = first; opcode <= last; ++opcode) {
            compare_forms({}, {0x0F, static_cast<std::uint8_t>(opcode)}, 100);
        }
    }
}

TEST_F(MmxNative, Ssse3) {
    for (unsigned opcode = 0; opcode <= 0x0B; ++opcode) {
        compare_forms({}, {0x0F, 0x38, static_cast<std::uint8_t>(opcode)}, 100);
    }
    for (unsigned opcode = 0x1C; opcode <= 0x1E; ++opcode) {
        compare_forms({}, {0x0F, 0x38, static_cast<std::uint8_t>(opcode)}, 100);
    }
    for (unsigned shift = 0; shift < 20; ++shift) {
        compare_forms({}, {0x0F, 0x3A, 0x0F}, 20, {static_cast<std::uint8_t>(shift)});
    }
}

TEST_F(MmxNative, ShiftsAndShuffles) {
    for (const std::uint8_t immediate : Bytes{0, 1, 7, 15, 16, 31, 32, 63, 64, 255}) {
        for (const std::uint8_t opcode : Bytes{0x71, 0x72, 0x73}) {
            for (unsigned extension = 0; extension < 8; ++extension) {
                compare({0x0F, opcode, static_cast<std::uint8_t>(0xC3 | extension << 3), immediate}, 10);
            }
        }
        compare_forms({}, {0x0F, 0x70}, 20, {immediate});
        compare({0x0F, 0xC4, 0xD8, immediate}, 20); // pinsrw mm3, eax
        compare({0x0F, 0xC4, 0x1A, immediate}, 20); // pinsrw mm3, [rdx]
        compare({0x0F, 0xC5, 0xC5, immediate}, 20); // pextrw eax, mm5
        compare({0x48, 0x0F, 0xC5, 0xC5, immediate}, 20);
    }
}

TEST_F(MmxNative, Moves) {
    for (const std::uint8_t opcode : Bytes{0x6E, 0x7E}) {
        for (const std::uint8_t modrm : Bytes{0xD8, 0x1A}) { // mm3 with eax or memory
            compare({0x0F, opcode, modrm}, 50);
            compare({0x48, 0x0F, opcode, modrm}, 50);
        }
    }
    compare_forms({}, {0x0F, 0x6F}, 50);
    compare_forms({}, {0x0F, 0x7F}, 50);
    compare({0x4D, 0x0F, 0x6F, register_operands}, 10); // REX bits do not extend MM registers
    compare({0x0F, 0xE7, 0x1A}, 50);                    // movntq
    compare({0x0F, 0xF7, 0xDD}, 200);                   // maskmovq
    compare({0x0F, 0xD7, 0xC5}, 50);                    // pmovmskb
    compare({0xF3, 0x0F, 0xD6, 0xDD}, 50);              // movq2dq
    compare({0xF2, 0x0F, 0xD6, 0xDD}, 50);              // movdq2q
    compare({0x0F, 0x77}, 50);                          // emms
}

TEST_F(MmxNative, Conversions) {
    for (const std::uint8_t opcode : Bytes{0x2A, 0x2C, 0x2D}) {
        compare_forms({}, {0x0F, opcode}, 300);
        compare_forms({0x66}, {0x0F, opcode}, 300);
    }
}

} // namespace
} // namespace strata::cpu::testing
