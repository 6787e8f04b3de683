// CPU models: what CPUID says, and so which instructions exist. Data in models.cpp.
#pragma once

#include "base/error.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace strata::cpu::x86 {

// One feature, named as in /proc/cpuinfo where Linux has a name. Where CPUID shows it is in features.cpp.
enum class Feature : std::uint8_t {
    fpu,
    vme,
    de,
    pse,
    tsc,
    msr,
    pae,
    mce,
    cx8,
    apic,
    sep,
    mtrr,
    pge,
    mca,
    cmov,
    pat,
    pse36,
    clflush,
    mmx,
    fxsr,
    sse,
    sse2,
    ht,
    pni,
    pclmulqdq,
    monitor,
    ssse3,
    fma,
    cx16,
    pcid,
    sse4_1,
    sse4_2,
    x2apic,
    movbe,
    popcnt,
    tsc_deadline_timer,
    aes,
    xsave,
    avx,
    f16c,
    rdrand,
    hypervisor,
    fsgsbase,
    tsc_adjust,
    bmi1,
    avx2,
    smep,
    bmi2,
    erms,
    invpcid,
    rdseed,
    adx,
    smap,
    clflushopt,
    sha_ni,
    umip,
    rdpid,
    fsrm,
    spec_ctrl,
    arch_capabilities,
    bhi_ctrl, // SPEC_CTRL.BHI_DIS_S
    xsaveopt,
    xsavec,
    xsaves,
    xgetbv1,
    arat,
    syscall,
    nx,
    mmxext,
    fxsr_opt,
    pdpe1gb,
    rdtscp,
    lm,
    three_d_now_ext,
    three_d_now,
    lahf_lm,
    cr8_legacy,
    abm,
    sse4a,
    misalignsse,
    three_d_now_prefetch,
    constant_tsc,
    cpuid, // the instruction itself (a 386 and early 486 lack it)
    i486,  // BSWAP, CMPXCHG, XADD, INVLPG, WBINVD; CR0.WP, AM; EFLAGS.AC
    count
};

class FeatureSet {
public:
    [[nodiscard]] constexpr bool has(Feature feature) const {
        const auto number = static_cast<std::size_t>(feature);
        return (words_[number / 64] >> (number % 64)) & 1;
    }

    [[nodiscard]] constexpr FeatureSet with(std::initializer_list<Feature> features) const {
        FeatureSet result = *this;
        for (const Feature feature : features) {
            const auto number = static_cast<std::size_t>(feature);
            result.words_[number / 64] |= std::uint64_t{1} << (number % 64);
        }
        return result;
    }

private:
    std::array<std::uint64_t, 2> words_{};
};

static_assert(static_cast<std::size_t>(Feature::count) <= 128);

// One cache, as leaf 4 and leaves 8000'0005 and 8000'0006 describe it.
struct Cache {
    enum class Type : std::uint8_t { data = 1, instruction = 2, unified = 3 };
    Type type;
    unsigned level;
    std::uint32_t size; // in bytes
    unsigned ways, line;
    bool shared = false; // by all processors of the package
};

struct Model {
    std::string_view name;            // as in --cpu
    std::string_view description;     // one line
    std::string_view vendor;          // 12 characters, CPUID leaf 0
    std::string_view brand;           // up to 47 characters, leaves 8000'0002 to 4; empty if it has none
    unsigned family, model, stepping; // display values
    std::uint32_t max_leaf, max_extended_leaf; // 0: no such range
    unsigned physical_address_bits, linear_address_bits;
    FeatureSet features;
    std::array<std::uint32_t, 4> cache_descriptors{}; // leaf 2: EAX, EBX, ECX, EDX
    std::span<const Cache> caches{};

    [[nodiscard]] bool has(Feature feature) const { return features.has(feature); }

    [[nodiscard]] bool is_amd() const { return vendor == "AuthenticAMD"; }
};

// CPUID.1:EAX, also what EDX holds after RESET: family, model and stepping with their extensions.
[[nodiscard]] std::uint32_t signature(const Model& model);
// The bits that XCR0 may have: x87, SSE and AVX state as the model has them; 0 without XSAVE.
[[nodiscard]] std::uint64_t supported_xcr0(const Model& model);
// The bits of RFLAGS that the model has: AC came with the 486, ID with CPUID.
[[nodiscard]] std::uint64_t supported_rflags(const Model& model);

[[nodiscard]] std::span<const Model> models();
[[nodiscard]] Result<const Model*> find_model(std::string_view name);
[[nodiscard]] std::string_view feature_name(Feature feature);

enum class CpuidRegister : std::uint8_t { eax, ebx, ecx, edx, none };

// Where CPUID shows a feature; `none` for those that software finds otherwise.
struct FeatureInfo {
    Feature feature;
    std::string_view name;
    std::uint32_t leaf = 0, subleaf = 0;
    CpuidRegister location = CpuidRegister::none;
    unsigned bit = 0;
};

// In the order of the enumeration.
[[nodiscard]] std::span<const FeatureInfo> feature_table();

struct CpuidResult {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// What of a vCPU's state CPUID shows.
struct CpuidContext {
    unsigned apic_id = 0, vcpu_count = 1;
    bool osxsave = false; // CR4.OSXSAVE
    bool code64 = true;   // executed in 64-bit mode
    std::uint64_t xcr0 = 1, xss = 0;
    std::uint64_t tsc_hz = 0;
};

[[nodiscard]] CpuidResult cpuid(const Model& model, std::uint32_t leaf, std::uint32_t subleaf,
                                const CpuidContext& context);

} // namespace strata::cpu::x86
