// The floating-point seam's x87 half: results, flags and the unmasked responses, and that the host's own unit
// is left as the ABI wants it.
#include "cpu/x86/fp_unit_x87.hpp"

#include "cpu/x86/x87.hpp"

#include <gtest/gtest.h>

namespace strata::cpu::x86 {
namespace {

using namespace fp_unit;

constexpr Float80 one{.significand = 1ULL << 63, .sign_exponent = 0x3FFF};
constexpr Float80 two{.significand = 1ULL << 63, .sign_exponent = 0x4000};
constexpr Float80 three{.significand = 3ULL << 62, .sign_exponent = 0x4000};
constexpr Float80 largest{.significand = ~0ULL, .sign_exponent = 0x7FFE};
constexpr Float80 smallest_normal{.significand = 1ULL << 63, .sign_exponent = 1};
constexpr Float80 smallest_denormal{.significand = 1, .sign_exponent = 0};
constexpr Float80 infinity{.significand = 1ULL << 63, .sign_exponent = 0x7FFF};
constexpr Float80 signalling_nan{.significand = (1ULL << 63) | 5, .sign_exponent = 0x7FFF};

constexpr Mode all_masked{.control = fcw::initial, .raised = 0};

constexpr Mode unmasking(std::uint16_t exceptions) {
    return {.control = static_cast<std::uint16_t>(fcw::initial & ~exceptions), .raised = 0};
}

constexpr Mode with_control(unsigned precision_and_rounding) {
    return {.control = static_cast<std::uint16_t>(0x7F | precision_and_rounding), .raised = 0};
}

class FpUnitX87 : public ::testing::Test {
protected:
    void TearDown() override {
        struct {
            std::uint16_t words[14];
        } environment;

        asm volatile("fnstenv %0; fldenv %0" : "=m"(environment));
        EXPECT_EQ(environment.words[0], 0x037F) << "control word";
        EXPECT_EQ(environment.words[2] & (fsw::top | fsw::es), 0) << "status word";
        EXPECT_EQ(environment.words[4], 0xFFFF) << "tag word";
    }
};

TEST_F(FpUnitX87, DividesExactlyOrReportsTheRoundingAndItsDirection) {
    Float80 quotient = one;
    EXPECT_EQ((arithmetic<Arithmetic::divide>(all_masked, quotient, two)), 0);
    EXPECT_EQ(quotient, (Float80{1ULL << 63, 0x3FFE}));

    quotient = one;
    EXPECT_EQ((arithmetic<Arithmetic::divide>(all_masked, quotient, three)), fp_exception::pe | fsw::c1);
    EXPECT_EQ(quotient, (Float80{0xAAAA'AAAA'AAAA'AAAB, 0x3FFD}));

    quotient = one; // towards zero
    EXPECT_EQ((arithmetic<Arithmetic::divide>(with_control(0xF00), quotient, three)), fp_exception::pe);
    EXPECT_EQ(quotient, (Float80{0xAAAA'AAAA'AAAA'AAAA, 0x3FFD}));

    quotient = one; // to 24 bits, upwards
    EXPECT_EQ((arithmetic<Arithmetic::divide>(with_control(0x800), quotient, three)),
              fp_exception::pe | fsw::c1);
    EXPECT_EQ(quotient, (Float80{0xAAAA'AB00'0000'0000, 0x3FFD}));

    quotient = three; // two thirds
    EXPECT_EQ((arithmetic<Arithmetic::divide_reversed>(all_masked, quotient, two)),
              fp_exception::pe | fsw::c1);
    EXPECT_EQ(quotient, (Float80{0xAAAA'AAAA'AAAA'AAAB, 0x3FFE}));
}

TEST_F(FpUnitX87, TakesOperandsOfEveryFormat) {
    Float80 sum = one;
    arithmetic<Arithmetic::add>(all_masked, sum, Float32{0x3F80'0000});
    EXPECT_EQ(sum, two);
    arithmetic<Arithmetic::add>(all_masked, sum, Float64{0x3FF0'0000'0000'0000});
    EXPECT_EQ(sum, three);
    arithmetic<Arithmetic::subtract>(all_masked, sum, std::int16_t{2});
    EXPECT_EQ(sum, one);
    arithmetic<Arithmetic::subtract_reversed>(all_masked, sum, std::int32_t{3});
    EXPECT_EQ(sum, two);
    arithmetic<Arithmetic::multiply>(all_masked, sum, one);
    EXPECT_EQ(sum, two);
    EXPECT_EQ((arithmetic<Arithmetic::add>(all_masked, sum, Float32{1})),
              fp_exception::de | fp_exception::pe);
}

TEST_F(FpUnitX87, UnmaskedExceptionsFoundBeforeTheOperationLeaveTheDestination) {
    Float80 value = one;
    EXPECT_EQ((arithmetic<Arithmetic::divide>(unmasking(fp_exception::ze), value, Float80{})),
              fp_exception::ze);
    EXPECT_EQ(value, one);
    EXPECT_EQ((arithmetic<Arithmetic::add>(unmasking(fp_exception::ie), value, signalling_nan)),
              fp_exception::ie);
    EXPECT_EQ(value, one);
    EXPECT_EQ((arithmetic<Arithmetic::add>(unmasking(fp_exception::de), value, smallest_denormal)),
              fp_exception::de);
    EXPECT_EQ(value, one);
    Float80 y = two;
    EXPECT_EQ((binary<Binary::y_log2_x>(unmasking(fp_exception::ze), y, Float80{})), fp_exception::ze);
    EXPECT_EQ(y, two);
    Float80 pushed = three;
    value = Float80{};
    EXPECT_EQ((pair<Pair::extract>(unmasking(fp_exception::ze), value, pushed)), fp_exception::ze);
    EXPECT_EQ(value, Float80{});
    EXPECT_EQ(pushed, three);
}

TEST_F(FpUnitX87, UnmaskedOverflowAndUnderflowWrapTheExponent) {
    Float80 value = largest;
    EXPECT_EQ((arithmetic<Arithmetic::multiply>(unmasking(fp_exception::oe), value, two)), fp_exception::oe);
    EXPECT_EQ(value, (Float80{~0ULL, 0x7FFF - 0x6000}));
    value = smallest_normal; // exact and tiny: underflow only where it is unmasked
    EXPECT_EQ((arithmetic<Arithmetic::divide>(unmasking(fp_exception::ue), value, two)), fp_exception::ue);
    EXPECT_EQ(value, (Float80{1ULL << 63, 0x6000}));
    value = smallest_normal;
    EXPECT_EQ((arithmetic<Arithmetic::divide>(all_masked, value, two)), 0);
    EXPECT_EQ(value, (Float80{1ULL << 62, 0}));
}

TEST_F(FpUnitX87, NarrowsAndLeavesTheResultAloneWhenUnmasked) {
    Float32 single{7};
    EXPECT_EQ(narrow(all_masked, three, single), 0);
    EXPECT_EQ(single.bits, 0x4040'0000U);
    EXPECT_EQ(narrow(all_masked, largest, single), fp_exception::oe | fp_exception::pe | fsw::c1);
    EXPECT_EQ(single.bits, 0x7F80'0000U);
    single.bits = 7;
    EXPECT_EQ(narrow(unmasking(fp_exception::oe), largest, single), fp_exception::oe);
    EXPECT_EQ(single.bits, 7U);

    std::int16_t word = 7;
    EXPECT_EQ(narrow(unmasking(fp_exception::ie), largest, word), fp_exception::ie);
    EXPECT_EQ(word, 7);
    EXPECT_EQ(narrow(all_masked, largest, word), fp_exception::ie);
    EXPECT_EQ(word, -0x8000);
    std::int64_t quadword = 0;
    EXPECT_EQ(narrow(all_masked, Float80{0xF000'0000'0000'0000, 0x3FFF}, quadword),
              fp_exception::pe | fsw::c1);
    EXPECT_EQ(quadword, 2);
    EXPECT_EQ(truncate(all_masked, Float80{0xF000'0000'0000'0000, 0xBFFF}, quadword), fp_exception::pe);
    EXPECT_EQ(quadword, -1);

    Bcd80 decimal{};
    EXPECT_EQ(narrow(all_masked, from_integer(-1234567), decimal), 0);
    EXPECT_EQ(decimal.bytes, (std::array<std::uint8_t, 10>{0x67, 0x45, 0x23, 0x01, 0, 0, 0, 0, 0, 0x80}));
}

TEST_F(FpUnitX87, Compares) {
    constexpr std::uint16_t unordered = fsw::c0 | fsw::c2 | fsw::c3;
    EXPECT_EQ(compare(all_masked, one, two), fsw::c0);
    EXPECT_EQ(compare(all_masked, two, Float64{0x4000'0000'0000'0000}), fsw::c3);
    EXPECT_EQ(compare(all_masked, two, std::int16_t{-2}), 0);
    EXPECT_EQ(compare(all_masked, indefinite, one), unordered | fp_exception::ie);
    EXPECT_EQ(compare_unordered(all_masked, indefinite, one), unordered);
    EXPECT_EQ(compare_unordered(all_masked, signalling_nan, one), unordered | fp_exception::ie);
}

TEST_F(FpUnitX87, FunctionsOutOfRangeSetC2AndKeepTheOperand) {
    Float80 value = largest, pushed = three;
    EXPECT_EQ(unary<Unary::sine>(all_masked, value), fsw::c2);
    EXPECT_EQ(value, largest);
    EXPECT_EQ((pair<Pair::tangent>(all_masked, value, pushed)), fsw::c2);
    EXPECT_EQ(value, largest);
    EXPECT_EQ(pushed, three);
    value = one;
    EXPECT_EQ((pair<Pair::tangent>(all_masked, value, pushed) & ~fsw::c1), fp_exception::pe);
    EXPECT_EQ(pushed, one);
    EXPECT_EQ(value.sign_exponent, 0x3FFF);
    EXPECT_EQ(value.significand >> 32, 0xC759'22E5U);
    value = infinity;
    EXPECT_EQ(unary<Unary::cosine>(all_masked, value), fp_exception::ie);
    EXPECT_EQ(value, indefinite);
}

TEST_F(FpUnitX87, RemaindersReportQuotientBits) {
    Float80 value{5ULL << 61, 0x4001}; // 5 = 2 * 2 + 1: the quotient's low bits are C0 C3 C1
    EXPECT_EQ((adjust<Adjust::remainder_truncating>(all_masked, value, two)), fsw::c3);
    EXPECT_EQ(value, one);
    value = largest;
    EXPECT_NE((adjust<Adjust::remainder_truncating>(all_masked, value, three)) & fsw::c2, 0);
    value = two;
    EXPECT_EQ((adjust<Adjust::scale>(all_masked, value, one)), 0);
    EXPECT_EQ(value, (Float80{1ULL << 63, 0x4001}));
}

TEST_F(FpUnitX87, FlagsOfAnEarlierOperationAreNotReported) {
    Float80 value = one;
    arithmetic<Arithmetic::divide>(all_masked, value, three);
    value = one;
    EXPECT_EQ((arithmetic<Arithmetic::add>(all_masked, value, one)), 0);
}

TEST(X87Words, WidensExactly) {
    EXPECT_EQ(widen(Float32{0xBFC0'0000}).value, (Float80{3ULL << 62, 0xBFFF}));
    EXPECT_EQ(widen(Float32{0x8000'0000}).value, (Float80{0, 0x8000}));
    EXPECT_EQ(widen(Float64{0x7FF0'0000'0000'0000}).value, infinity);
    const Widened denormal = widen(Float32{1});
    EXPECT_EQ(denormal.value, (Float80{1ULL << 63, 0x3FFF - 149}));
    EXPECT_EQ(denormal.exceptions, fp_exception::de);
    const Widened nan = widen(Float64{0xFFF0'0000'0000'0001});
    EXPECT_EQ(nan.value, (Float80{0xC000'0000'0000'0800, 0xFFFF}));
    EXPECT_EQ(nan.exceptions, fp_exception::ie);
    EXPECT_EQ(from_integer(INT64_MIN), (Float80{1ULL << 63, 0xC03E}));
    EXPECT_EQ(from_integer(3), three);
}

TEST(X87Words, TagsByContents) {
    FpState fp;
    fp.abridged_tag = 0x1F;
    fp.physical[0] = one;
    fp.physical[2] = smallest_denormal;
    fp.physical[3] = infinity;
    fp.physical[4] = {1ULL << 62, 0x3FFF}; // an unnormal
    EXPECT_EQ(full_tag_word(fp), 0b11'11'11'10'10'10'01'00);
    EXPECT_EQ(abridge_tag_word(full_tag_word(fp)), 0x1F);
}

} // namespace
} // namespace strata::cpu::x86
