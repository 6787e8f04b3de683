// The CPU models, each a row of data. Identification values are those of real processors (SDM volume 2A,
// CPUID; AMD publication 20734); the x86-64 levels follow the System V psABI, with the system features that
// kernels want added.
#include "base/suggestion.hpp"
#include "cpu/x86/model.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace strata::cpu::x86 {
namespace {

using F = Feature;

// ---- feature sets, each built on an older one ----

constexpr FeatureSet i386_features = FeatureSet{}.with({F::fpu});

constexpr FeatureSet i486_features = i386_features.with({F::i486});

constexpr FeatureSet pentium_features =
    i486_features.with({F::cpuid, F::vme, F::de, F::pse, F::tsc, F::msr, F::mce, F::cx8, F::apic});

constexpr FeatureSet pentium_mmx_features = pentium_features.with({F::mmx});

// No SEP: the Pentium Pro reports it, but the instructions do not work (SDM volume 2B, SYSENTER).
constexpr FeatureSet pentium_pro_features = pentium_features.with({F::pae, F::mtrr, F::pge, F::mca, F::cmov});

constexpr FeatureSet k6_2_features =
    i486_features.with({F::cpuid, F::vme, F::de, F::pse, F::tsc, F::msr, F::mce, F::cx8, F::pge, F::mmx,
                        F::syscall, F::three_d_now});

// The psABI baseline and what every 64-bit processor had besides.
constexpr FeatureSet x86_64_baseline =
    pentium_pro_features.with({F::sep, F::pat, F::pse36, F::clflush, F::mmx, F::fxsr, F::sse, F::sse2, F::ht,
                               F::syscall, F::nx, F::lm, F::constant_tsc});

// MONITOR is left out: a virtual processor idles in HLT.
constexpr FeatureSet core2_features = x86_64_baseline.with({F::pni, F::ssse3, F::cx16, F::lahf_lm});

// What costs user programs nothing and spares kernels their slow paths: timers that need no calibration, and
// the word that an interpreter speculates on nothing.
constexpr FeatureSet x86_64_features =
    x86_64_baseline.with({F::hypervisor, F::x2apic, F::tsc_deadline_timer, F::tsc_adjust, F::arat, F::rdtscp,
                          F::spec_ctrl, F::arch_capabilities});

constexpr FeatureSet x86_64_v2_features =
    x86_64_features.with({F::pni, F::ssse3, F::sse4_1, F::sse4_2, F::popcnt, F::cx16, F::lahf_lm, F::pcid});

constexpr FeatureSet x86_64_v3_features = x86_64_v2_features.with(
    {F::avx,     F::avx2,     F::bmi1,    F::bmi2,     F::f16c,      F::fma,
     F::abm,     F::movbe,    F::xsave,   F::xsaveopt, F::aes,       F::rdrand,
     F::rdseed,  F::fsgsbase, F::invpcid, F::smep,     F::smap,      F::erms,
     F::pdpe1gb, F::umip,     F::rdpid,   F::adx,      F::pclmulqdq, F::three_d_now_prefetch});

// BHI_CTRL spares kernels a loop of a hundred instructions in each system call, which they take for needed
// whatever ARCH_CAPABILITIES says of BHI.
constexpr FeatureSet max_features =
    x86_64_v3_features.with({F::xsavec, F::xsaves, F::xgetbv1, F::sha_ni, F::clflushopt, F::fsrm, F::mmxext,
                             F::three_d_now, F::three_d_now_ext, F::bhi_ctrl});

// ---- caches ----

using enum Cache::Type;

constexpr Cache pentium_pro_caches[] = {
    {data, 1, 8 << 10, 2, 32}, {instruction, 1, 8 << 10, 4, 32}, {unified, 2, 256 << 10, 4, 32}};
constexpr Cache k6_2_caches[] = {{data, 1, 32 << 10, 2, 32}, {instruction, 1, 32 << 10, 2, 32}};
constexpr Cache core2_caches[] = {
    {data, 1, 32 << 10, 8, 64}, {instruction, 1, 32 << 10, 8, 64}, {unified, 2, 4 << 20, 16, 64, true}};
constexpr Cache x86_64_caches[] = {{data, 1, 32 << 10, 8, 64},
                                   {instruction, 1, 32 << 10, 8, 64},
                                   {unified, 2, 1 << 20, 16, 64},
                                   {unified, 3, 16 << 20, 16, 64, true}};

// Leaf 2 byte codes; FF refers to leaf 4.
constexpr std::array<std::uint32_t, 4> pentium_pro_descriptors{0x0302'0101, 0, 0, 0x0604'0A42};
constexpr std::array<std::uint32_t, 4> core2_descriptors{0x05B0'B101, 0x0056'57F0, 0, 0x2CB4'3049};
constexpr std::array<std::uint32_t, 4> x86_64_descriptors{0x7603'6301, 0x00F0'B5FF, 0, 0x00C1'0000};

constexpr std::string_view intel = "GenuineIntel", amd = "AuthenticAMD";

constexpr std::array all_models{
    Model{"386", "Intel 80386 with an 80387", intel, "", 3, 0, 8, 0, 0, 32, 32, i386_features},
    Model{"486", "Intel 486DX", intel, "", 4, 1, 3, 0, 0, 32, 32, i486_features},
    Model{"pentium", "Intel Pentium (P54C)", intel, "", 5, 2, 12, 1, 0, 32, 32, pentium_features},
    Model{"pentium-mmx", "Intel Pentium with MMX (P55C)", intel, "", 5, 4, 3, 1, 0, 32, 32,
          pentium_mmx_features},
    Model{"pentium-pro", "Intel Pentium Pro", intel, "", 6, 1, 9, 2, 0, 36, 32, pentium_pro_features,
          pentium_pro_descriptors, pentium_pro_caches},
    Model{"k6-2",
          "AMD K6-2 with 3DNow!",
          amd,
          "AMD-K6(tm) 3D processor",
          5,
          8,
          12,
          1,
          0x8000'0005,
          32,
          32,
          k6_2_features,
          {},
          k6_2_caches},
    Model{"core2", "Intel Core 2 (first 64-bit mobile and desktop generation)", intel,
          "Intel(R) Core(TM)2 CPU", 6, 15, 11, 0xA, 0x8000'0008, 36, 48, core2_features, core2_descriptors,
          core2_caches},
    Model{"x86-64", "psABI baseline: SSE2", intel, "Strata Virtual CPU x86-64", 6, 15, 11, 0x16, 0x8000'0008,
          40, 48, x86_64_features, x86_64_descriptors, x86_64_caches},
    Model{"x86-64-v2", "psABI level 2: SSE4.2, POPCNT, CMPXCHG16B", intel, "Strata Virtual CPU x86-64-v2", 6,
          44, 2, 0x16, 0x8000'0008, 40, 48, x86_64_v2_features, x86_64_descriptors, x86_64_caches},
    Model{"x86-64-v3", "psABI level 3: AVX2, BMI, FMA, MOVBE", intel, "Strata Virtual CPU x86-64-v3", 6, 60,
          3, 0x16, 0x8000'0008, 40, 48, x86_64_v3_features, x86_64_descriptors, x86_64_caches},
    Model{"max", "everything that the interpreter implements", intel, "Strata Virtual CPU max", 6, 85, 7,
          0x16, 0x8000'0008, 46, 48, max_features, x86_64_descriptors, x86_64_caches},
};

} // namespace

std::span<const Model> models() { return all_models; }

Result<const Model*> find_model(std::string_view name) {
    const auto found = std::ranges::find(all_models, name, &Model::name);
    if (found != all_models.end()) {
        return &*found;
    }
    std::vector<std::string_view> known;
    std::ranges::transform(all_models, std::back_inserter(known), &Model::name);
    return fail("unknown CPU model '" + std::string(name) + "'",
                unknown_word_hint(name, known, "known models"));
}

} // namespace strata::cpu::x86
