#include "cpu/x86/model_changes.hpp"

#include <gtest/gtest.h>

namespace strata::cpu::x86 {
namespace {

TEST(CpuModels, FeaturesAreLeftOutAndAdded) {
    const auto model = parse_model("x86-64-v2,-pcid,+avx");
    ASSERT_TRUE(model);
    EXPECT_FALSE(model->has(Feature::pcid));
    EXPECT_TRUE(model->has(Feature::avx));
    EXPECT_TRUE(model->has(Feature::sse4_2));
    EXPECT_EQ(model->name, "x86-64-v2");
    for (const auto* text :
         {"x86-64,", "x86-64,pcid", "x86-64,-", "x86-64,-nonsense", "x86-64,+sse4a", "nothing,-pcid"}) {
        EXPECT_FALSE(parse_model(text)) << text;
    }
}

} // namespace
} // namespace strata::cpu::x86
