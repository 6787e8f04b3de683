// When vector instructions raise exceptions, and what they leave behind then.
#include "cpu_fixture.hpp"

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;
using Code = std::initializer_list<int>;

constexpr unsigned ud = 6, nm = 7, gp = 13, pf = 14, xm = 19;
constexpr std::uint64_t data = TestCpu::data_at;

// A processor that stops at exceptions.
class CatchingCpu : public TestCpu {
public:
    explicit CatchingCpu(Mode mode, std::string_view model = "max") : TestCpu(mode, model) {
        catch_exceptions();
    }
};

class VectorFault : public ::testing::Test {
protected:
    // Runs `code` with RDI = `rdi`; the exception it raised, if any.
    std::optional<unsigned> raised(TestCpu& test, Code code, std::uint64_t rdi = data) {
        test[x86::rdi] = rdi;
        test[x86::rsp] = TestCpu::stack_top;
        test.run(code);
        return test.caught();
    }

    static void change_controls(TestCpu& test, std::uint64_t cr0_set, std::uint64_t cr4_cleared) {
        test.cpu->system.cr0 |= cr0_set;
        test.cpu->system.cr4 &= ~cr4_cleared;
        test.cpu->mode_changed();
    }
};

const Code addps_memory{0x0F, 0x58, 0x07};            // addps xmm0, [rdi]
const Code vaddps_memory{0xC5, 0xF8, 0x58, 0x07};     // vaddps xmm0, xmm0, [rdi]
const Code movaps_load{0x0F, 0x28, 0x07};             // movaps xmm0, [rdi]
const Code movups_load{0x0F, 0x10, 0x07};             // movups xmm0, [rdi]
const Code vmovaps_store_256{0xC5, 0xFC, 0x29, 0x07}; // vmovaps [rdi], ymm0
const Code movntps_store{0x0F, 0x2B, 0x07};           // movntps [rdi], xmm0
const Code addps{0x0F, 0x58, 0xC1};                   // addps xmm0, xmm1
const Code vaddps{0xC5, 0xF8, 0x58, 0xC1};            // vaddps xmm0, xmm0, xmm1
const Code crc32{0xF2, 0x0F, 0x38, 0xF1, 0xC1};       // crc32 eax, ecx
const Code movnti{0x0F, 0xC3, 0x07};                  // movnti [rdi], eax

TEST_F(VectorFault, LegacyMemoryOperandsMustBeAligned) {
    CatchingCpu test(Mode::long64);
    EXPECT_EQ(raised(test, addps_memory, data), std::nullopt);
    EXPECT_EQ(raised(test, addps_memory, data + 8), gp);
    EXPECT_EQ(raised(test, movaps_load, data + 1), gp);
    EXPECT_EQ(raised(test, movntps_store, data + 8), gp);
    EXPECT_EQ(raised(test, movups_load, data + 1), std::nullopt);
    EXPECT_EQ(raised(test, vaddps_memory, data + 1), std::nullopt);
    EXPECT_EQ(raised(test, vmovaps_store_256, data + 16), gp);
    EXPECT_EQ(raised(test, vmovaps_store_256, data + 32), std::nullopt);
}

TEST_F(VectorFault, SseNeedsOsfxsrAndNoEmulation) {
    CatchingCpu test(Mode::long64);
    change_controls(test, 0, x86::cr4::osfxsr);
    EXPECT_EQ(raised(test, addps), ud);
    EXPECT_EQ(raised(test, vaddps), std::nullopt) << "AVX looks at OSXSAVE";
    EXPECT_EQ(raised(test, crc32), std::nullopt) << "general registers only";
    EXPECT_EQ(raised(test, movnti), std::nullopt) << "general registers only";
    CatchingCpu emulated(Mode::long64);
    change_controls(emulated, x86::cr0::em, 0);
    EXPECT_EQ(raised(emulated, addps), ud);
}

TEST_F(VectorFault, AvxNeedsOsxsaveAndItsState) {
    CatchingCpu test(Mode::long64);
    change_controls(test, 0, x86::cr4::osxsave);
    EXPECT_EQ(raised(test, vaddps), ud);
    EXPECT_EQ(raised(test, addps), std::nullopt);
    CatchingCpu without_state(Mode::long64);
    without_state.cpu->system.xcr0 = 3;
    without_state.cpu->mode_changed();
    EXPECT_EQ(raised(without_state, vaddps), ud);
}

TEST_F(VectorFault, TaskSwitchedMakesThemUnavailable) {
    CatchingCpu test(Mode::long64);
    change_controls(test, x86::cr0::ts, 0);
    EXPECT_EQ(raised(test, addps), nm);
    EXPECT_EQ(raised(test, vaddps), nm);
    EXPECT_EQ(raised(test, addps_memory, data + 1), nm) << "before the operand is looked at";
    EXPECT_EQ(raised(test, crc32), std::nullopt);
    test.cpu->system.cr0 &= ~x86::cr0::ts;
    test.cpu->mode_changed();
    EXPECT_EQ(raised(test, addps), std::nullopt) << "and the same code works when TS is clear";
}

TEST_F(VectorFault, VexIsInvalidInRealMode) {
    CatchingCpu test(Mode::real16);
    change_controls(test, 0, 0);
    test.cpu->system.cr4 |= x86::cr4::osfxsr | x86::cr4::osxsave;
    test.cpu->system.xcr0 = 7;
    test.cpu->mode_changed();
    EXPECT_EQ(raised(test, addps), std::nullopt);
    EXPECT_EQ(raised(test, vaddps), ud);
}

TEST_F(VectorFault, UnusedVexFieldsMustBeAllOnes) {
    CatchingCpu test(Mode::long64);
    EXPECT_EQ(raised(test, {0xC5, 0xF8, 0x28, 0xC1}), std::nullopt); // vmovaps xmm0, xmm1
    EXPECT_EQ(raised(test, {0xC5, 0xE8, 0x28, 0xC1}), ud);           // vvvv = 2
    EXPECT_EQ(raised(test, {0xC5, 0xFC, 0x2F, 0xC1}), std::nullopt); // vcomiss ignores L
    EXPECT_EQ(raised(test, {0xC5, 0xFD, 0xC5, 0xC1, 0}), ud);        // vpextrw has no 256-bit form
    EXPECT_EQ(raised(test, {0x66, 0xC5, 0xF8, 0x58, 0xC1}), ud);     // a prefix before VEX
    EXPECT_EQ(raised(test, {0x48, 0xC5, 0xF8, 0x58, 0xC1}), ud);     // REX before VEX
}

TEST_F(VectorFault, ModelsWithoutTheFeatureHaveNoSuchInstruction) {
    CatchingCpu pentium(Mode::protected32, "pentium-mmx");
    EXPECT_EQ(raised(pentium, {0x0F, 0x58, 0xC1}), ud); // addps
    CatchingCpu core2(Mode::long64, "core2");
    EXPECT_EQ(raised(core2, addps), std::nullopt);
    EXPECT_EQ(raised(core2, {0x66, 0x0F, 0x38, 0x00, 0xC1}), std::nullopt); // pshufb: SSSE3
    EXPECT_EQ(raised(core2, vaddps), ud);
    EXPECT_EQ(raised(core2, crc32), ud);
    CatchingCpu v2(Mode::long64, "x86-64-v2");
    EXPECT_EQ(raised(v2, crc32), std::nullopt);
    EXPECT_EQ(raised(v2, {0x66, 0x0F, 0x38, 0xDC, 0xC1}), ud); // aesenc
    CatchingCpu v3(Mode::long64, "x86-64-v3");
    EXPECT_EQ(raised(v3, vaddps), std::nullopt);
    EXPECT_EQ(raised(v3, {0xC4, 0xE2, 0x7D, 0xDC, 0xC1}), ud); // vaesenc ymm: no model has it
}

TEST_F(VectorFault, UnmaskedExceptionsNeedOsxmmexcpt) {
    const Code divide{0x0F, 0x5E, 0xC1}; // divps xmm0, xmm1
    const auto set_up = [](TestCpu& test) {
        test.cpu->fp.ymm[0] = {{0x3F80'0000'3F80'0000, 0x3F80'0000'3F80'0000, 7, 7}};
        test.cpu->fp.ymm[1] = {};
        test.cpu->fp.mxcsr = x86::mxcsr::masks & ~(x86::mxcsr::divide_by_zero << x86::mxcsr::mask_shift);
    };
    CatchingCpu test(Mode::long64);
    set_up(test);
    const auto before = test.cpu->fp.ymm[0];
    EXPECT_EQ(raised(test, divide), xm);
    EXPECT_EQ(test.cpu->fp.ymm[0], before);
    EXPECT_EQ(test.cpu->fp.mxcsr & x86::mxcsr::flags, x86::mxcsr::divide_by_zero);
    set_up(test);
    change_controls(test, 0, x86::cr4::osxmmexcpt);
    EXPECT_EQ(raised(test, divide), ud);
    test.cpu->fp.mxcsr = x86::mxcsr::masks;
    EXPECT_EQ(raised(test, divide), std::nullopt) << "masked";
}

TEST_F(VectorFault, MxcsrRefusesReservedBits) {
    const Code load{0x0F, 0xAE, 0x17};  // ldmxcsr [rdi]
    const Code store{0x0F, 0xAE, 0x1F}; // stmxcsr [rdi]
    CatchingCpu test(Mode::long64);
    test.write<std::uint32_t>(data, 0x1'1F80);
    EXPECT_EQ(raised(test, load), gp);
    test.write<std::uint32_t>(data, 0xFFBF);
    EXPECT_EQ(raised(test, load), std::nullopt);
    EXPECT_EQ(raised(test, store, data + 8), std::nullopt);
    EXPECT_EQ(test.read<std::uint32_t>(data + 8), 0xFFBFU);
}

TEST_F(VectorFault, FlagsRaisedSinceEntryShowInMxcsr) {
    CatchingCpu test(Mode::long64);
    test.cpu->fp.ymm[0] = {{0x3F80'0000, 0, 0, 0}};
    test.cpu->fp.ymm[1] = {{0x4040'0000, 0, 0, 0}};
    // divss xmm0, xmm1; stmxcsr [rdi]
    EXPECT_EQ(raised(test, {0xF3, 0x0F, 0x5E, 0xC1, 0x0F, 0xAE, 0x1F}), std::nullopt);
    EXPECT_EQ(test.read<std::uint32_t>(data), x86::mxcsr::masks | x86::mxcsr::precision);
    EXPECT_EQ(test.cpu->fp.mxcsr, x86::mxcsr::masks | x86::mxcsr::precision);
}

// ---- partial accesses next to a page that is not there ----

class VectorPageFault : public VectorFault {
protected:
    // 2 MiB to 4 MiB of linear addresses are taken away.
    static constexpr std::uint64_t hole = 0x20'0000;

    VectorPageFault() {
        test_.write<std::uint64_t>(TestCpu::page_tables_at + 0x2000 + 8, 0);
        test_.cpu->flush_tlb(true);
    }

    static x86::Vector256 doublewords(std::array<std::uint32_t, 8> values) {
        return std::bit_cast<x86::Vector256>(values);
    }

    CatchingCpu test_{Mode::long64};
};

TEST_F(VectorPageFault, MaskedLoadsSpareTheLanesLeftOut) {
    test_.write<std::uint64_t>(hole - 16, 0x2222'2222'1111'1111);
    test_.write<std::uint64_t>(hole - 8, 0x4444'4444'3333'3333);
    test_.cpu->fp.ymm[1] = doublewords({0, ~0U, 0, ~0U, 0, 0, 0, 0});
    const Code load{0xC4, 0xE2, 0x75, 0x2C, 0x07}; // vmaskmovps ymm0, ymm1, [rdi]
    EXPECT_EQ(raised(test_, load, hole - 16), std::nullopt);
    EXPECT_EQ(test_.cpu->fp.ymm[0], doublewords({0, 0x2222'2222, 0, 0x4444'4444, 0, 0, 0, 0}));
    EXPECT_EQ(raised(test_, load, hole - 12), pf);
    EXPECT_EQ(test_.cpu->system.cr2, hole);
}

TEST_F(VectorPageFault, MaskedStoresThatFaultStoreNothing) {
    test_.write<std::uint64_t>(hole - 16, 0);
    test_.cpu->fp.ymm[0] = doublewords({1, 2, 3, 4, 5, 6, 7, 8});
    test_.cpu->fp.ymm[1] = doublewords({~0U, 0, 0, 0, ~0U, 0, 0, 0});
    const Code store{0xC4, 0xE2, 0x75, 0x2E, 0x07}; // vmaskmovps [rdi], ymm1, ymm0
    EXPECT_EQ(raised(test_, store, hole - 16), pf);
    EXPECT_EQ(test_.read<std::uint32_t>(hole - 16), 0U);
    test_.cpu->fp.ymm[1] = doublewords({~0U, 0, 0, ~0U, 0, 0, 0, 0});
    EXPECT_EQ(raised(test_, store, hole - 16), std::nullopt);
    EXPECT_EQ(test_.read<std::uint32_t>(hole - 16), 1U);
    EXPECT_EQ(test_.read<std::uint32_t>(hole - 4), 4U);
}

TEST_F(VectorPageFault, GathersGoOnWhereTheyFaulted) {
    for (unsigned i = 0; i < 4; ++i) {
        test_.write<std::uint32_t>(hole - 16 + i * 4, 100 + i);
    }
    const Code gather{0xC4, 0xE2, 0x6D, 0x90, 0x04, 0x8F}; // vpgatherdd ymm0, [rdi + ymm1 * 4], ymm2
    test_.cpu->fp.ymm[0] = doublewords({1, 2, 3, 4, 5, 6, 7, 8});
    test_.cpu->fp.ymm[1] = doublewords({0, 1, 4, 3, 2, 1, 0, 0});
    test_.cpu->fp.ymm[2] = doublewords({~0U, 0, 0x8000'0000, ~0U, 0x7FFF'FFFF, ~0U, 0, ~0U});
    EXPECT_EQ(raised(test_, gather, hole - 16), pf);
    EXPECT_EQ(test_.cpu->system.cr2, hole);
    EXPECT_EQ(test_.cpu->fp.ymm[0], doublewords({100, 2, 3, 4, 5, 6, 7, 8}));
    const auto mask = std::bit_cast<std::array<std::uint32_t, 8>>(test_.cpu->fp.ymm[2]);
    EXPECT_EQ(mask[0], 0U) << "done";
    EXPECT_NE(mask[2] & 0x8000'0000, 0U) << "to do";
    // The page comes back.
    test_.write<std::uint64_t>(TestCpu::page_tables_at + 0x2000 + 8, hole | 0x87);
    test_.write<std::uint32_t>(hole, 104);
    EXPECT_EQ(raised(test_, gather, hole - 16), std::nullopt);
    EXPECT_EQ(test_.cpu->fp.ymm[0], doublewords({100, 2, 104, 103, 5, 101, 7, 100}));
    EXPECT_EQ(test_.cpu->fp.ymm[2], x86::Vector256{});
}

TEST_F(VectorPageFault, GathersNeedThreeRegisters) {
    EXPECT_EQ(raised(test_, {0xC4, 0xE2, 0x75, 0x90, 0x04, 0x97}),
              std::nullopt);                                            // ymm0, [rdi + ymm2 * 4], ymm1
    EXPECT_EQ(raised(test_, {0xC4, 0xE2, 0x75, 0x90, 0x04, 0x8F}), ud); // index = mask
    EXPECT_EQ(raised(test_, {0xC4, 0xE2, 0x75, 0x90, 0x04, 0x87}), ud); // index = destination
    EXPECT_EQ(raised(test_, {0xC4, 0xE2, 0x75, 0x90, 0x0C, 0x97}), ud); // mask = destination
}

TEST_F(VectorPageFault, StoresAcrossTheEdgeStoreNothing) {
    test_.write<std::uint64_t>(hole - 8, 0);
    test_.cpu->fp.ymm[0] = doublewords({1, 2, 3, 4, 5, 6, 7, 8});
    EXPECT_EQ(raised(test_, {0x0F, 0x11, 0x07}, hole - 8), pf); // movups [rdi], xmm0
    EXPECT_EQ(test_.read<std::uint64_t>(hole - 8), 0U);
    EXPECT_EQ(raised(test_, {0xC5, 0xFC, 0x11, 0x07}, hole - 8), pf); // vmovups [rdi], ymm0
    EXPECT_EQ(test_.read<std::uint64_t>(hole - 8), 0U);
}

} // namespace
} // namespace strata::cpu
