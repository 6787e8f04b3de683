// Software arithmetic against the host's unit: the same value and the same flags for random and special
// operands under every rounding mode, DAZ and FTZ.
#include "cpu/x86/fp_unit_sse.hpp"
#include "cpu/x86/soft_float.hpp"
#include "cpu/x86/soft_float_number.hpp"
#include "fp_operands.hpp"

#include <gtest/gtest.h>

namespace strata::cpu::x86 {
namespace {

namespace soft = soft_float;
using mxcsr::Rounding;
using test::FpOperands;

constexpr unsigned rounds = 100'000;

// The environments: every rounding mode with and without DAZ and FTZ, exceptions masked.
std::uint32_t environment(std::uint32_t number) {
    return mxcsr::masks | (number & 3) << mxcsr::rounding_shift |
           (number & 4 ? mxcsr::denormals_are_zero : 0) | (number & 8 ? mxcsr::flush_to_zero : 0);
}

// What the unit gives: lane 0 of the operation's result and the flags.
template <class Bits, class Operation>
soft::Result<Bits> on_host(std::uint32_t mxcsr, Operation operation) {
    std::uint32_t guest = mxcsr;
    Block result;
    {
        const GuestEnvironment scope(guest);
        result = operation();
    }
    return {lanes<Bits>(result)[0], guest & mxcsr::flags};
}

constexpr std::uint32_t post_computation = mxcsr::overflow | mxcsr::underflow | mxcsr::precision;

template <FpFormat format, auto host, auto flags_of>
void expect_same_flags() {
    using Bits = FpBits<format>;
    FpOperands operands(1);
    for (unsigned i = 0; i < rounds; ++i) {
        const auto x = operands.next<Bits>(), y = operands.near(x);
        const std::uint32_t mxcsr = environment(i);
        const auto expected = on_host<Bits>(mxcsr, [&] { return host(low_lane(x), low_lane(y)); });
        ASSERT_EQ(flags_of(x, y, mxcsr), expected.flags & post_computation)
            << std::hex << x << ' ' << y << " mxcsr " << mxcsr;
    }
}

TEST(SoftFloat, AddFlags) {
    expect_same_flags<FpFormat::ss, sse_unit::add<FpFormat::ss>, soft::add_flags<std::uint32_t>>();
    expect_same_flags<FpFormat::sd, sse_unit::add<FpFormat::sd>, soft::add_flags<std::uint64_t>>();
}

TEST(SoftFloat, SubFlags) {
    expect_same_flags<FpFormat::ss, sse_unit::sub<FpFormat::ss>, soft::sub_flags<std::uint32_t>>();
    expect_same_flags<FpFormat::sd, sse_unit::sub<FpFormat::sd>, soft::sub_flags<std::uint64_t>>();
}

TEST(SoftFloat, MulFlags) {
    expect_same_flags<FpFormat::ss, sse_unit::mul<FpFormat::ss>, soft::mul_flags<std::uint32_t>>();
    expect_same_flags<FpFormat::sd, sse_unit::mul<FpFormat::sd>, soft::mul_flags<std::uint64_t>>();
}

TEST(SoftFloat, DivFlags) {
    expect_same_flags<FpFormat::ss, sse_unit::div<FpFormat::ss>, soft::div_flags<std::uint32_t>>();
    expect_same_flags<FpFormat::sd, sse_unit::div<FpFormat::sd>, soft::div_flags<std::uint64_t>>();
}

TEST(SoftFloat, NarrowFlags) {
    FpOperands operands(2);
    for (unsigned i = 0; i < rounds; ++i) {
        const auto x = operands.near_single();
        const std::uint32_t mxcsr = environment(i);
        const auto expected =
            on_host<std::uint32_t>(mxcsr, [&] { return sse_unit::cvtsd2ss(Block{}, low_lane(x)); });
        ASSERT_EQ(soft::narrow_flags(x, mxcsr), expected.flags & post_computation) << std::hex << x;
    }
}

// While overflow and underflow are unmasked, results count as if exponents had no bounds.
TEST(SoftFloat, UnmaskedOverflowAndUnderflowTellWhetherTheScaledResultIsExact) {
    const std::uint32_t mxcsr = mxcsr::masks & ~((mxcsr::overflow | mxcsr::underflow) << mxcsr::mask_shift);
    EXPECT_EQ(soft::mul_flags(0x7F00'0000U, 0x7F00'0000U, mxcsr), mxcsr::overflow);
    EXPECT_EQ(soft::mul_flags(0x7F00'0001U, 0x4040'0001U, mxcsr), mxcsr::overflow | mxcsr::precision);
    EXPECT_EQ(soft::mul_flags(0x0080'0001U, 0x3F00'0000U, mxcsr), mxcsr::underflow);
    EXPECT_EQ(soft::mul_flags(0x0080'0001U, 0x3F00'0001U, mxcsr), mxcsr::underflow | mxcsr::precision);
    EXPECT_EQ(soft::add_flags(0x0080'0001U, 0x8080'0000U, mxcsr), mxcsr::underflow);
}

template <class Bits>
void expect_same_fused() {
    FpOperands operands(3);
    for (unsigned i = 0; i < rounds; ++i) {
        const auto x = operands.next<Bits>(), y = operands.near(x), z = operands.near_product(x, y);
        const std::uint32_t mxcsr = environment(i);
        const soft::FusedSigns signs{(i & 16) != 0, (i & 32) != 0};
        const auto expected = on_host<Bits>(mxcsr, [&] {
            return test::host_fused(low_lane(x), low_lane(y), low_lane(z), signs, sizeof(Bits));
        });
        const auto actual = soft::fused_multiply_add(x, y, z, signs, mxcsr);
        ASSERT_EQ(actual.value, expected.value)
            << std::hex << x << ' ' << y << ' ' << z << " mxcsr " << mxcsr
            << (signs.negate_product ? " -xy" : "") << (signs.negate_addend ? " -z" : "");
        ASSERT_EQ(actual.flags, expected.flags)
            << std::hex << x << ' ' << y << ' ' << z << " mxcsr " << mxcsr;
    }
}

TEST(SoftFloat, FusedMultiplyAdd) {
    if (!__builtin_cpu_supports("fma")) {
        GTEST_SKIP() << "the host has no FMA to compare with";
    }
    expect_same_fused<std::uint32_t>();
    expect_same_fused<std::uint64_t>();
}

template <class Bits>
void expect_same_rounding() {
    FpOperands operands(4);
    for (unsigned i = 0; i < rounds; ++i) {
        const auto x = operands.near_integer<Bits>();
        const std::uint32_t mxcsr = environment(i);
        const auto expected =
            on_host<Bits>(mxcsr, [&] { return test::host_round_to_integer(low_lane(x), sizeof(Bits)); });
        const auto actual = soft::round_to_integer(x, mxcsr::rounding_of(mxcsr), mxcsr);
        ASSERT_EQ(actual.value, expected.value) << std::hex << x << " mxcsr " << mxcsr;
        ASSERT_EQ(actual.flags, expected.flags) << std::hex << x << " mxcsr " << mxcsr;
    }
}

TEST(SoftFloat, RoundToInteger) {
    if (!__builtin_cpu_supports("sse4.1")) {
        GTEST_SKIP() << "the host has no ROUNDSS to compare with";
    }
    expect_same_rounding<std::uint32_t>();
    expect_same_rounding<std::uint64_t>();
}

TEST(SoftFloat, HalfPrecision) {
    if (!__builtin_cpu_supports("f16c")) {
        GTEST_SKIP() << "the host has no F16C to compare with";
    }
    for (unsigned x = 0; x < 0x1'0000; ++x) {
        const auto half = static_cast<std::uint16_t>(x);
        const auto expected =
            on_host<std::uint32_t>(environment(x), [&] { return test::host_half_to_single(low_lane(half)); });
        const auto actual = soft::half_to_single(half);
        ASSERT_EQ(actual.value, expected.value) << std::hex << x;
        ASSERT_EQ(actual.flags, expected.flags) << std::hex << x;
    }
    FpOperands operands(5);
    for (unsigned i = 0; i < rounds; ++i) {
        const auto x = operands.near_half();
        const std::uint32_t mxcsr = environment(i);
        const auto expected =
            on_host<std::uint16_t>(mxcsr, [&] { return test::host_single_to_half(low_lane(x)); });
        const auto actual = soft::single_to_half(x, mxcsr::rounding_of(mxcsr), mxcsr);
        ASSERT_EQ(actual.value, expected.value) << std::hex << x << " mxcsr " << mxcsr;
        ASSERT_EQ(actual.flags, expected.flags) << std::hex << x << " mxcsr " << mxcsr;
    }
}

} // namespace
} // namespace strata::cpu::x86
