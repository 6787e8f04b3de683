// 3DNow!: ranges and signs as the manual's tables have them, the accuracy of the reciprocals, and that only
// models with the feature know the instructions.
#include "cpu_fixture.hpp"

#include <bit>
#include <cmath>
#include <cstdlib>

namespace strata::cpu {
namespace {

using testing::Mode;
using testing::TestCpu;

enum Suffix : std::uint8_t {
    pi2fw = 0x0C,
    pi2fd = 0x0D,
    pf2iw = 0x1C,
    pf2id = 0x1D,
    pfnacc = 0x8A,
    pfpnacc = 0x8E,
    pfcmpge = 0x90,
    pfmin = 0x94,
    pfrcp = 0x96,
    pfrsqrt = 0x97,
    pfsub = 0x9A,
    pfadd = 0x9E,
    pfcmpgt = 0xA0,
    pfmax = 0xA4,
    pfrcpit1 = 0xA6,
    pfrsqit1 = 0xA7,
    pfsubr = 0xAA,
    pfacc = 0xAE,
    pfcmpeq = 0xB0,
    pfmul = 0xB4,
    pfrcpit2 = 0xB6,
    pmulhrw = 0xB7,
    pswapd = 0xBB,
    pavgusb = 0xBF,
};

constexpr std::uint32_t largest = 0x7F7F'FFFF, smallest = 0x0080'0000, sign = 0x8000'0000, ones = 0xFFFF'FFFF;

std::uint32_t single(float value) { return std::bit_cast<std::uint32_t>(value); }

std::uint64_t pair(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }

std::uint64_t pair(float low, float high) { return pair(single(low), single(high)); }

class ThreeDNow : public ::testing::Test {
protected:
    // operation mm0, mm1
    std::uint64_t run(Suffix operation, std::uint64_t a, std::uint64_t b) {
        set(0, a);
        set(1, b);
        machine_.run({0x0F, 0x0F, 0xC1, operation});
        EXPECT_EQ(machine_.cpu->fp.physical[0].sign_exponent, 0xFFFF);
        return machine_.cpu->fp.physical[0].significand;
    }

    // The lower lanes alone.
    std::uint32_t run_low(Suffix operation, std::uint32_t a, std::uint32_t b) {
        return static_cast<std::uint32_t>(run(operation, a, b));
    }

    void set(unsigned number, std::uint64_t value) { machine_.cpu->fp.physical[number].significand = value; }

    TestCpu machine_{Mode::protected32, "k6-2"};
    TestCpu extended_{Mode::protected32};
};

TEST_F(ThreeDNow, AddsSubtractsMultiplies) {
    EXPECT_EQ(run(pfadd, pair(1.5F, -2.0F), pair(2.0F, 0.5F)), pair(3.5F, -1.5F));
    EXPECT_EQ(run(pfsub, pair(1.5F, -2.0F), pair(2.0F, 0.5F)), pair(-0.5F, -2.5F));
    EXPECT_EQ(run(pfsubr, pair(1.5F, -2.0F), pair(2.0F, 0.5F)), pair(0.5F, 2.5F));
    EXPECT_EQ(run(pfmul, pair(1.5F, -2.0F), pair(2.0F, 0.5F)), pair(3.0F, -1.0F));
    EXPECT_EQ(run(pfacc, pair(1.0F, 2.0F), pair(4.0F, 8.0F)), pair(3.0F, 12.0F));
}

TEST_F(ThreeDNow, RoundsAsSingleArithmeticDoes) {
    std::uint32_t state = 12345;
    const auto random = [&] { return state = state * 1664525 + 1013904223; };
    for (unsigned i = 0; i < 2000; ++i) {
        const auto a = std::bit_cast<float>((random() & 0x87FF'FFFF) | 0x3800'0000);
        const auto b = std::bit_cast<float>((random() & 0x87FF'FFFF) | 0x3800'0000);
        EXPECT_EQ(run_low(pfadd, single(a), single(b)), single(a + b));
        EXPECT_EQ(run_low(pfsub, single(a), single(b)), single(a - b));
        EXPECT_EQ(run_low(pfmul, single(a), single(b)), single(a * b));
    }
}

TEST_F(ThreeDNow, SaturatesAndFlushesToZero) {
    EXPECT_EQ(run_low(pfadd, largest, largest), largest);
    EXPECT_EQ(run_low(pfmul, largest | sign, single(2.0F)), largest | sign);
    EXPECT_EQ(run_low(pfmul, smallest, single(-0.5F)), sign);
    EXPECT_EQ(run_low(pfadd, 1, single(1.0F)), single(1.0F)); // a denormal is zero
    EXPECT_EQ(run_low(pfadd, sign, sign), sign);
    EXPECT_EQ(run_low(pfadd, sign, 0), 0U);
    EXPECT_EQ(run_low(pfsub, single(-3.0F), single(-3.0F)), sign); // the sign of the first operand
}

TEST_F(ThreeDNow, Compares) {
    EXPECT_EQ(run(pfcmpeq, pair(0, single(1.0F)), pair(sign, single(2.0F))), pair(ones, 0));
    EXPECT_EQ(run(pfcmpgt, pair(-1.0F, 1.0F), pair(-2.0F, 1.0F)), pair(ones, 0));
    EXPECT_EQ(run(pfcmpge, pair(-3.0F, 1.0F), pair(-2.0F, 1.0F)), pair(0, ones));
    EXPECT_EQ(run(pfmax, pair(single(-1.0F), sign), pair(single(-2.0F), single(-3.0F))),
              pair(single(-1.0F), 0));
    EXPECT_EQ(run(pfmin, pair(single(-1.0F), sign), pair(single(-2.0F), single(3.0F))),
              pair(single(-2.0F), 0));
}

TEST_F(ThreeDNow, Converts) {
    EXPECT_EQ(run(pf2id, 0, pair(-1.9F, 0.9F)), pair(ones, 0));
    EXPECT_EQ(run(pf2id, 0, pair(3e9F, -3e9F)), pair(0x7FFF'FFFF, sign));
    EXPECT_EQ(run(pi2fd, 0, pair(0x7FFF'FFFF, sign)), pair(0x4EFF'FFFF, single(-2147483648.0F))); // cut off
}

TEST_F(ThreeDNow, ReciprocalsReachTwentyFourBits) {
    for (float value = 1.0F; value < 4.0F; value += 0.00137F) {
        const std::uint32_t b = single(value);
        const std::uint32_t x0 = run_low(pfrcp, 0, b);
        EXPECT_NEAR(std::bit_cast<float>(x0) * value, 1.0, std::ldexp(1.0, -14));
        const std::uint32_t x2 = run_low(pfrcpit2, run_low(pfrcpit1, b, x0), x0);
        EXPECT_LE(std::abs(static_cast<int>(x2 - single(1.0F / value))), 1) << value;

        const std::uint32_t r0 = run_low(pfrsqrt, 0, b);
        EXPECT_NEAR(std::bit_cast<float>(r0) * std::sqrt(value), 1.0, std::ldexp(1.0, -15));
        const std::uint32_t r3 = run_low(pfrcpit2, run_low(pfrsqit1, b, run_low(pfmul, r0, r0)), r0);
        const auto exact = static_cast<float>(1.0 / std::sqrt(static_cast<double>(value)));
        EXPECT_LE(std::abs(static_cast<int>(r3 - single(exact))), 1) << value;
    }
}

TEST_F(ThreeDNow, ReciprocalsAtTheLimits) {
    EXPECT_EQ(run(pfrcp, 0, pair(sign, 0)), pair(largest | sign, largest | sign));
    EXPECT_EQ(run(pfrcp, 0, pair(4.0F, 1.0F)), pair(0.25F, 0.25F)); // of the lower lane, to both
    EXPECT_EQ(run_low(pfrcp, 0, largest), 0U);
    EXPECT_EQ(run_low(pfrsqrt, 0, 0), largest);
    EXPECT_EQ(run_low(pfrsqrt, 0, single(-16.0F)), single(-0.25F));
}

TEST_F(ThreeDNow, WorksOnIntegers) {
    EXPECT_EQ(run(pmulhrw, 0x7FFF'8000'0100'0001, 0x7FFF'8000'0080'0001), 0x3FFF'4000'0001'0000U);
    EXPECT_EQ(run(pavgusb, 0x00FF'0102'0304'0506, 0x01FF'0204'0000'0000), 0x01FF'0203'0202'0303U);
}

TEST_F(ThreeDNow, ExtensionsNeedTheirOwnFeature) {
    for (const Suffix suffix : {pswapd, pf2iw, pi2fw, pfnacc, pfpnacc}) {
        TestCpu without(Mode::protected32, "k6-2");
        without.catch_exceptions();
        without.run({0x0F, 0x0F, 0xC1, suffix});
        EXPECT_EQ(without.caught(), 6U) << "#UD";
        extended_.catch_exceptions();
        extended_.run({0x0F, 0x0F, 0xC1, suffix});
        EXPECT_EQ(extended_.caught(), std::nullopt);
    }
    extended_.cpu->fp.physical[1].significand = pair(40000.0F, -40000.0F);
    extended_.run({0x0F, 0x0F, 0xC1, pf2iw});
    EXPECT_EQ(extended_.cpu->fp.physical[0].significand, pair(0x7FFF, 0xFFFF'8000));
}

TEST_F(ThreeDNow, FemmsEmptiesTheRegisters) {
    machine_.cpu->fp.abridged_tag = 0xFF;
    machine_.run({0x0F, 0x0E});
    EXPECT_EQ(machine_.cpu->fp.abridged_tag, 0);
}

TEST(MmxExtensions, NeedMoreThanMmx) {
    for (const char* model : {"pentium-mmx", "k6-2", "x86-64"}) {
        TestCpu machine(Mode::protected32, model);
        machine.catch_exceptions();
        machine.run({0x0F, 0x70, 0xC1, 0x1B}); // pshufw mm0, mm1, 0x1b
        EXPECT_EQ(machine.caught().has_value(), !machine.cpu->model().has(x86::Feature::sse)) << model;
        machine.run({0x0F, 0xFC, 0xC1}); // paddb mm0, mm1
        EXPECT_EQ(machine.caught(), std::nullopt) << model;
    }
}

} // namespace
} // namespace strata::cpu
