// FXSAVE and the XSAVE family: what is written and what is left alone, the header's checks, and the round
// trip.
#include "cpu_fixture.hpp"

#include "cpu/x86/xsave_area.hpp"

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;
namespace area = x86::xsave_area;

constexpr std::uint64_t at = TestCpu::data_at;
constexpr std::uint64_t untouched = 0xA5A5'A5A5'A5A5'A5A5;
constexpr unsigned general_protection = 13, invalid_opcode = 6, device_not_available = 7;

class ExtendedState : public ::testing::Test {
protected:
    ExtendedState() {
        machine.catch_exceptions();
        for (unsigned i = 0; i < area::size; i += 8) {
            machine.write<std::uint64_t>(at + i, untouched);
        }
        machine[x86::rsi] = at;
        fill();
    }

    void fill() {
        x86::FpState& fp = machine.cpu->fp;
        for (unsigned i = 0; i < 8; ++i) {
            fp.physical[i] = {.significand = 0x8000'0000'0000'0000 + i, .sign_exponent = 0x3FFF};
        }
        for (unsigned i = 0; i < 16; ++i) {
            fp.ymm[i].lanes = {i + 1, i + 0x100, i + 0x200, i + 0x300};
        }
        fp.fcw = 0x027F;
        fp.fsw = 3 << x86::fsw::top_shift;
        fp.abridged_tag = 0xF8;
        fp.fop = 0x123;
        fp.fip = 0x1122'3344'5566'7788;
        fp.fdp = 0x99AA'BBCC'DDEE'FF00;
        fp.mxcsr = 0x1FA0;
    }

    void clear_header() {
        for (unsigned i = 0; i < area::header.size; i += 8) {
            machine.write<std::uint64_t>(at + area::header.offset + i, 0);
        }
    }

    // The instruction on [RSI] with EDX:EAX = components.
    void run(std::initializer_list<int> code, std::uint64_t components = 7) {
        machine[x86::rax] = components;
        machine[x86::rdx] = 0;
        machine[x86::rsp] = TestCpu::stack_top;
        machine.run(code);
    }

    [[nodiscard]] std::uint64_t quadword(unsigned offset) const {
        return machine.read<std::uint64_t>(at + offset);
    }

    TestCpu machine{Mode::long64};
};

TEST_F(ExtendedState, FxsaveWritesItsImage) {
    run({0x48, 0x0F, 0xAE, 0x06}); // fxsave64 [rsi]
    EXPECT_EQ(quadword(0), 0x0123'00F8'1800'027FU);
    EXPECT_EQ(quadword(8), 0x1122'3344'5566'7788U);
    EXPECT_EQ(quadword(24), 0x0000'FFFF'0000'1FA0U | (quadword(24) & 0x0002'0000'0000'0000));
    EXPECT_EQ(quadword(32), 0x8000'0000'0000'0003U); // ST(0) is R3
    EXPECT_EQ(quadword(160 + 15 * 16), 16U);
    EXPECT_EQ(quadword(416), untouched);

    run({0x0F, 0xAE, 0x06}); // fxsave [rsi]: 32-bit pointers with selectors
    EXPECT_EQ(quadword(8) & 0xFFFF'FFFF, 0x5566'7788U);
}

TEST_F(ExtendedState, FxrstorBringsItBack) {
    run({0x48, 0x0F, 0xAE, 0x06});
    const x86::FpState before = machine.cpu->fp;
    machine.cpu->fp.physical = {};
    machine.cpu->fp.fsw = 0;
    machine.cpu->fp.abridged_tag = 0;
    machine.cpu->fp.mxcsr = 0x1F80;
    run({0x48, 0x0F, 0xAE, 0x0E}); // fxrstor64 [rsi]
    EXPECT_EQ(machine.cpu->fp, before);
}

TEST_F(ExtendedState, FxrstorChecksItsOperand) {
    run({0x0F, 0xAE, 0x4E, 0x08}); // fxrstor [rsi + 8]
    EXPECT_EQ(machine.caught(), general_protection);
    run({0x48, 0x0F, 0xAE, 0x06});
    machine.write<std::uint32_t>(at + 24, 0x8000'1F80); // a reserved bit of MXCSR
    run({0x0F, 0xAE, 0x0E});
    EXPECT_EQ(machine.caught(), general_protection);
}

TEST_F(ExtendedState, XsaveWritesWhatIsAskedFor) {
    clear_header();
    run({0x48, 0x0F, 0xAE, 0x26}, area::avx); // xsave64 [rsi]
    EXPECT_EQ(quadword(0), untouched);
    EXPECT_EQ(quadword(160), untouched);
    EXPECT_EQ(quadword(24) & 0xFFFF, 0x1FA0U); // MXCSR goes with AVX too
    EXPECT_EQ(quadword(area::ymm_high_halves.offset), 0x200U);
    EXPECT_EQ(quadword(area::xstate_bv.offset), area::avx);

    run({0x48, 0x0F, 0xAE, 0x26}, area::sse); // XSTATE_BV gathers
    EXPECT_EQ(quadword(area::xstate_bv.offset), area::avx | area::sse);
    EXPECT_EQ(quadword(area::xcomp_bv.offset), 0U);
}

TEST_F(ExtendedState, XsaveoptLeavesOutInitialComponents) {
    clear_header();
    for (x86::Vector256& ymm : machine.cpu->fp.ymm) {
        ymm.lanes[2] = ymm.lanes[3] = 0;
    }
    run({0x48, 0x0F, 0xAE, 0x36}); // xsaveopt64 [rsi]
    EXPECT_EQ(quadword(area::ymm_high_halves.offset), untouched);
    EXPECT_EQ(quadword(area::xstate_bv.offset), area::x87 | area::sse);
}

TEST_F(ExtendedState, XsavecSaysItsLayout) {
    machine.cpu->fp.ymm = {};
    machine.cpu->fp.mxcsr = x86::mxcsr::reset_value;
    run({0x48, 0x0F, 0xC7, 0x26}); // xsavec64 [rsi]
    EXPECT_EQ(quadword(area::xstate_bv.offset), area::x87);
    EXPECT_EQ(quadword(area::xcomp_bv.offset), area::compacted | 7);
    EXPECT_EQ(quadword(24), untouched);

    machine.cpu->fp.mxcsr = 0x1FA0; // makes the SSE component one that is in use
    run({0x48, 0x0F, 0xC7, 0x26});
    EXPECT_EQ(quadword(area::xstate_bv.offset), area::x87 | area::sse);
}

TEST_F(ExtendedState, EveryFormatComesBack) {
    const x86::FpState before = machine.cpu->fp;
    const auto round_trip = [&](std::initializer_list<int> save, std::initializer_list<int> restore) {
        clear_header();
        machine.cpu->fp = before;
        run(save);
        ASSERT_EQ(machine.caught(), std::nullopt);
        machine.cpu->fp = {};
        run(restore);
        ASSERT_EQ(machine.caught(), std::nullopt);
        EXPECT_EQ(machine.cpu->fp, before);
    };
    round_trip({0x48, 0x0F, 0xAE, 0x26}, {0x48, 0x0F, 0xAE, 0x2E}); // xsave64, xrstor64
    round_trip({0x48, 0x0F, 0xC7, 0x26}, {0x48, 0x0F, 0xAE, 0x2E}); // xsavec64, xrstor64
    round_trip({0x48, 0x0F, 0xC7, 0x2E}, {0x48, 0x0F, 0xC7, 0x1E}); // xsaves64, xrstors64
}

TEST_F(ExtendedState, XrstorInitializesWhatTheAreaLacks) {
    clear_header();
    run({0x48, 0x0F, 0xAE, 0x26}, area::x87 | area::sse);
    machine.write<std::uint64_t>(at + area::xstate_bv.offset, 0);
    run({0x48, 0x0F, 0xAE, 0x2E});
    const x86::FpState& fp = machine.cpu->fp;
    EXPECT_EQ(fp.fcw, x86::fcw::initial);
    EXPECT_EQ(fp.abridged_tag, 0);
    EXPECT_EQ(fp.physical[0], x86::Float80{});
    EXPECT_EQ(fp.ymm[3], x86::Vector256{});
    EXPECT_EQ(fp.mxcsr, 0x1FA0U); // in the standard format MXCSR is always loaded
}

TEST_F(ExtendedState, XrstorRefusesABadHeader) {
    struct Bad {
        std::uint64_t present, layout;
        unsigned reserved_at;
    };

    constexpr unsigned none = area::xcomp_bv.offset;
    for (const Bad bad : {Bad{8, 0, none}, Bad{0, 1, none}, Bad{0, 0, 528}, Bad{4, area::compacted | 3, none},
                          Bad{0, area::compacted | 8, none}, Bad{0, area::compacted, 568}}) {
        clear_header();
        machine.write<std::uint64_t>(at + area::mxcsr_and_mask.offset, 0x1F80);
        if (bad.reserved_at != none) {
            machine.write<std::uint64_t>(at + bad.reserved_at, 1);
        }
        machine.write(at + area::xstate_bv.offset, bad.present);
        machine.write(at + area::xcomp_bv.offset, bad.layout);
        const x86::FpState before = machine.cpu->fp;
        run({0x48, 0x0F, 0xAE, 0x2E});
        EXPECT_EQ(machine.caught(), general_protection) << bad.present << ' ' << bad.layout;
        EXPECT_EQ(machine.cpu->fp, before);
    }
}

TEST_F(ExtendedState, XsaveFaults) {
    run({0x48, 0x0F, 0xAE, 0x66, 0x10}); // xsave64 [rsi + 16]: not aligned to 64
    EXPECT_EQ(machine.caught(), general_protection);
    machine.cpu->system.cr0 |= x86::cr0::ts;
    run({0x48, 0x0F, 0xAE, 0x26});
    EXPECT_EQ(machine.caught(), device_not_available);
    machine.cpu->system.cr4 &= ~x86::cr4::osxsave;
    run({0x48, 0x0F, 0xAE, 0x26});
    EXPECT_EQ(machine.caught(), invalid_opcode);
}

} // namespace
} // namespace strata::cpu
