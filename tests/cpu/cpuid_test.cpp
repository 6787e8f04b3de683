// CPUID as guests see it: every leaf of every model.
#include "cpu/x86/model.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace strata::cpu::x86 {
namespace {

const Model& model(std::string_view name) { return **find_model(name); }

std::string text(std::initializer_list<std::uint32_t> registers) {
    std::string result;
    for (const std::uint32_t value : registers) {
        char bytes[4];
        std::memcpy(bytes, &value, 4);
        result.append(bytes, 4);
    }
    return result;
}

TEST(Models, AreFoundByName) {
    for (const Model& each : models()) {
        EXPECT_EQ(*find_model(each.name), &each);
    }
    const auto unknown = find_model("z80");
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().message.find("z80"), std::string::npos);
    EXPECT_NE(unknown.error().hint.find("k6-2"), std::string::npos);
}

TEST(Models, GrowFromLevelToLevel) {
    const char* levels[] = {"pentium", "pentium-pro", "x86-64", "x86-64-v2", "x86-64-v3", "max"};
    for (std::size_t i = 1; i < std::size(levels); ++i) {
        for (const FeatureInfo& info : feature_table()) {
            if (model(levels[i - 1]).has(info.feature)) {
                EXPECT_TRUE(model(levels[i]).has(info.feature)) << levels[i] << " lacks " << info.name;
            }
        }
    }
}

TEST(Models, BrandFitsIntoItsLeaves) {
    for (const Model& each : models()) {
        EXPECT_LE(each.brand.size(), 47U) << each.name;
        EXPECT_EQ(each.vendor.size(), 12U) << each.name;
    }
}

TEST(Features, HaveDistinctNamesAndPlaces) {
    for (const FeatureInfo& a : feature_table()) {
        for (const FeatureInfo& b : feature_table()) {
            if (&a == &b) {
                continue;
            }
            EXPECT_NE(a.name, b.name);
            EXPECT_FALSE(a.location != CpuidRegister::none && a.leaf == b.leaf && a.subleaf == b.subleaf &&
                         a.location == b.location && a.bit == b.bit)
                << a.name << " and " << b.name;
        }
    }
    EXPECT_EQ(feature_name(Feature::three_d_now), "3dnow");
}

TEST(Cpuid, SaysHowManySubleavesOfFeaturesThereAre) {
    EXPECT_EQ(cpuid(model("max"), 7, 0, {}).eax, 2U);
    EXPECT_EQ(cpuid(model("max"), 7, 2, {}).edx, 1U << 4) << "BHI_CTRL";
    EXPECT_EQ(cpuid(model("x86-64-v3"), 7, 0, {}).eax, 0U);
    EXPECT_EQ(cpuid(model("x86-64-v3"), 7, 2, {}).edx, 0U);
}

TEST(Cpuid, NamesTheVendor) {
    const CpuidResult intel = cpuid(model("pentium"), 0, 0, {});
    EXPECT_EQ(text({intel.ebx, intel.edx, intel.ecx}), "GenuineIntel");
    EXPECT_EQ(intel.eax, 1U);
    const CpuidResult amd = cpuid(model("k6-2"), 0, 0, {});
    EXPECT_EQ(text({amd.ebx, amd.edx, amd.ecx}), "AuthenticAMD");
    const CpuidResult extended = cpuid(model("k6-2"), 0x8000'0000, 0, {});
    EXPECT_EQ(extended.eax, 0x8000'0005U);
    EXPECT_EQ(extended.ebx, amd.ebx);
}

TEST(Cpuid, SignaturesAreThoseOfTheRealProcessors) {
    EXPECT_EQ(signature(model("386")), 0x308U);
    EXPECT_EQ(signature(model("pentium-mmx")), 0x543U);
    EXPECT_EQ(signature(model("pentium-pro")), 0x619U);
    EXPECT_EQ(signature(model("k6-2")), 0x58CU);
    EXPECT_EQ(signature(model("core2")), 0x6FBU);
    EXPECT_EQ(signature(model("x86-64-v3")), 0x306C3U);
}

TEST(Cpuid, FeatureFlagsOfRealProcessors) {
    EXPECT_EQ(cpuid(model("pentium-mmx"), 1, 0, {}).edx, 0x0080'03BFU);
    EXPECT_EQ(cpuid(model("pentium-pro"), 1, 0, {}).edx, 0x0000'F3FFU);
    EXPECT_EQ(cpuid(model("k6-2"), 1, 0, {}).edx, 0x0080'21BFU);
    EXPECT_EQ(cpuid(model("k6-2"), 0x8000'0001, 0, {}).edx, 0x8080'29BFU);
}

TEST(Cpuid, VersionLeafFollowsTheProcessorsState) {
    CpuidContext context{.apic_id = 3, .vcpu_count = 4};
    CpuidResult result = cpuid(model("max"), 1, 0, context);
    EXPECT_EQ(result.ebx >> 24, 3U);
    EXPECT_EQ((result.ebx >> 16) & 0xFF, 4U);
    EXPECT_EQ((result.ebx >> 8) & 0xFF, 8U);
    EXPECT_TRUE(result.edx & 1U << 28) << "HTT";
    EXPECT_FALSE(result.ecx & 1U << 27) << "OSXSAVE";
    EXPECT_TRUE(result.ecx & 1U << 31) << "hypervisor";
    context.osxsave = true;
    context.vcpu_count = 1;
    result = cpuid(model("max"), 1, 0, context);
    EXPECT_FALSE(result.edx & 1U << 28);
    EXPECT_TRUE(result.ecx & 1U << 27);
}

TEST(Cpuid, BrandString) {
    std::string brand;
    for (std::uint32_t leaf = 0x8000'0002; leaf <= 0x8000'0004; ++leaf) {
        const CpuidResult part = cpuid(model("x86-64-v2"), leaf, 0, {});
        brand += text({part.eax, part.ebx, part.ecx, part.edx});
    }
    EXPECT_STREQ(brand.c_str(), "Strata Virtual CPU x86-64-v2");
}

TEST(Cpuid, CacheLeafGivesTheSizes) {
    const CpuidContext context{.vcpu_count = 3};
    std::uint32_t subleaf = 0;
    std::array<std::uint32_t, 4> sizes{};
    for (; subleaf < 4; ++subleaf) {
        const CpuidResult cache = cpuid(model("max"), 4, subleaf, context);
        sizes[subleaf] = ((cache.ebx >> 22) + 1) * ((cache.ebx & 0xFFF) + 1) * (cache.ecx + 1);
        EXPECT_EQ(cache.eax >> 26, 3U) << "core identifiers, rounded up to a power of two";
    }
    EXPECT_EQ(sizes, (std::array<std::uint32_t, 4>{32 << 10, 32 << 10, 1 << 20, 16 << 20}));
    EXPECT_EQ(cpuid(model("max"), 4, subleaf, context).eax & 0x1F, 0U) << "ends the list";
}

TEST(Cpuid, TopologyLeaf) {
    const CpuidContext context{.apic_id = 5, .vcpu_count = 6};
    const CpuidResult smt = cpuid(model("max"), 0xB, 0, context);
    EXPECT_EQ(smt.eax, 0U);
    EXPECT_EQ(smt.ebx, 1U);
    EXPECT_EQ(smt.ecx, 0x100U);
    EXPECT_EQ(smt.edx, 5U);
    const CpuidResult core = cpuid(model("max"), 0xB, 1, context);
    EXPECT_EQ(core.eax, 3U);
    EXPECT_EQ(core.ebx, 6U);
    EXPECT_EQ(core.ecx, 0x201U);
    EXPECT_EQ(core.edx, 5U);
    EXPECT_EQ(cpuid(model("max"), 0xB, 2, context).ebx, 0U);
}

TEST(Cpuid, XsaveSizesFollowXcr0) {
    CpuidContext context{.xcr0 = 1};
    EXPECT_EQ(cpuid(model("max"), 0xD, 0, context).eax, 7U);
    EXPECT_EQ(cpuid(model("max"), 0xD, 0, context).ebx, 576U);
    EXPECT_EQ(cpuid(model("max"), 0xD, 0, context).ecx, 832U);
    context.xcr0 = 7;
    EXPECT_EQ(cpuid(model("max"), 0xD, 0, context).ebx, 832U);
    EXPECT_EQ(cpuid(model("max"), 0xD, 1, context).ebx, 832U);
    EXPECT_EQ(cpuid(model("max"), 0xD, 1, context).eax, 0xFU);
    EXPECT_EQ(cpuid(model("max"), 0xD, 2, context).eax, 256U);
    EXPECT_EQ(cpuid(model("max"), 0xD, 2, context).ebx, 576U);
    EXPECT_EQ(cpuid(model("x86-64"), 0xD, 0, context).eax, 0U);
}

TEST(Cpuid, TscFrequency) {
    const CpuidContext context{.tsc_hz = 2'500'000'000};
    const CpuidResult tsc = cpuid(model("max"), 0x15, 0, context);
    EXPECT_EQ(std::uint64_t{tsc.ecx} * tsc.ebx / tsc.eax, context.tsc_hz);
    EXPECT_EQ(cpuid(model("max"), 0x16, 0, context).eax, 2500U);
    EXPECT_TRUE(cpuid(model("max"), 0x8000'0007, 0, context).edx & 1U << 8) << "invariant TSC";
}

TEST(Cpuid, AddressSizes) {
    EXPECT_EQ(cpuid(model("core2"), 0x8000'0008, 0, {}).eax & 0xFFFF, 0x3024U);
    EXPECT_EQ(cpuid(model("max"), 0x8000'0008, 0, {}).eax & 0xFFFF, 0x302EU);
}

TEST(Cpuid, SyscallIsShownByIntelIn64BitModeOnly) {
    EXPECT_TRUE(cpuid(model("max"), 0x8000'0001, 0, {.code64 = true}).edx & 1U << 11);
    EXPECT_FALSE(cpuid(model("max"), 0x8000'0001, 0, {.code64 = false}).edx & 1U << 11);
    EXPECT_TRUE(cpuid(model("k6-2"), 0x8000'0001, 0, {.code64 = false}).edx & 1U << 11);
}

TEST(Cpuid, LeavesOutOfRange) {
    const CpuidResult last = cpuid(model("pentium"), 1, 0, {});
    EXPECT_EQ(cpuid(model("pentium"), 2, 0, {}).edx, last.edx) << "Intel repeats the last basic leaf";
    EXPECT_EQ(cpuid(model("pentium"), 0x8000'0000, 0, {}).eax, last.eax);
    EXPECT_EQ(cpuid(model("k6-2"), 2, 0, {}).eax, 0U);
    EXPECT_EQ(cpuid(model("max"), 0x4000'0000, 0, {}).eax, 0U) << "left to the paravirtual interfaces";
}

} // namespace
} // namespace strata::cpu::x86
