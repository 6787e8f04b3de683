// CPU models: what CPUID says, and so which instructions exist. Data in models.cpp.
#pragma once

#include "base/error.hpp"

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>

namespace strata::cpu::x86 {

// One feature, named as in /proc/cpuinfo where Linux has a name. Where CPUID shows it is in features.cpp.
enum class Feature : std::uint8_t {
    fpu, vme, de, pse, tsc, msr, pae, mce, cx8, apic, sep, mtrr, pge, mca, cmov, pat, pse36, clflush, mmx, fxsr,
    sse, sse2, ht, pni, pclmulqdq, monitor, ssse3, fma, cx16, pcid, sse4_1, sse4_2, x2apic, movbe, popcnt,
    tsc_deadline_timer, aes, xsave, avx, f16c, rdrand, hypervisor,
    fsgsbase, tsc_adjust, bmi1, avx2, smep, bmi2, erms, invpcid, rdseed, adx, smap, clflushopt, sha_ni, umip, rdpid,
    fsrm,
    xsaveopt, xsavec, xgetbv1, arat,
    syscall, nx, mmxext, fxsr_opt, pdpe1gb, rdtscp, lm, three_d_now_ext, three_d_now,
    lahf_lm, cr8_legacy, abm, sse4a, misalignsse, three_d_now_prefetch, constant_tsc,
    cpuid, // the instruction itself (a 386 and early 486 lack it)
    i486,  // BSWAP, CMPXCHG, XADD, INVLPG, WBINVD; CR0.WP, AM; EFLAGS.AC
    count
};

using FeatureSet = std::bitset<static_cast<std::size_t>(Feature::count)>;

struct Model {
    std::string_view name;        // as in --cpu
    std::string_view description; // one line
    std::string_view vendor;      // 12 characters, CPUID leaf 0
    std::string_view brand;       // up to 47 characters, leaves 8000'0002 to 4; empty if it has none
    unsigned family, model, stepping; // display values
    std::uint32_t max_leaf, max_extended_leaf;
    unsigned physical_address_bits, linear_address_bits;
    FeatureSet features;

    [[nodiscard]] bool has(Feature feature) const { return features[static_cast<std::size_t>(feature)]; }
};

[[nodiscard]] std::span<const Model> models();
[[nodiscard]] Result<const Model*> find_model(std::string_view name);
[[nodiscard]] std::string_view feature_name(Feature feature);

struct CpuidResult {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// What of a vCPU's state CPUID shows.
struct CpuidContext {
    unsigned apic_id = 0, vcpu_count = 1;
    bool osxsave = false;      // CR4.OSXSAVE
    std::uint64_t xcr0 = 1, xss = 0;
    std::uint64_t tsc_hz = 0;
};

[[nodiscard]] CpuidResult cpuid(const Model& model, std::uint32_t leaf, std::uint32_t subleaf,
                                const CpuidContext& context);

} // namespace strata::cpu::x86
