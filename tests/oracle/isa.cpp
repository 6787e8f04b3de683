#include "isa.hpp"

#include <algorithm>
#include <cpuid.h>
#include <cstring>
#include <span>

namespace strata::oracle {

namespace {

using cpu::x86::Feature;

struct IsaFeature {
    ZydisISASet isa;
    Feature feature;
};

constexpr std::array isa_features{
    IsaFeature{ZYDIS_ISA_SET_ADOX_ADCX, Feature::adx},
    IsaFeature{ZYDIS_ISA_SET_AES, Feature::aes},
    IsaFeature{ZYDIS_ISA_SET_AMD3DNOW, Feature::three_d_now},
    IsaFeature{ZYDIS_ISA_SET_AVX, Feature::avx},
    IsaFeature{ZYDIS_ISA_SET_AVX2, Feature::avx2},
    IsaFeature{ZYDIS_ISA_SET_AVX2GATHER, Feature::avx2},
    IsaFeature{ZYDIS_ISA_SET_AVXAES, Feature::aes},
    IsaFeature{ZYDIS_ISA_SET_BMI1, Feature::bmi1},
    IsaFeature{ZYDIS_ISA_SET_BMI2, Feature::bmi2},
    IsaFeature{ZYDIS_ISA_SET_CLFLUSHOPT, Feature::clflushopt},
    IsaFeature{ZYDIS_ISA_SET_CLFSH, Feature::clflush},
    IsaFeature{ZYDIS_ISA_SET_CMOV, Feature::cmov},
    IsaFeature{ZYDIS_ISA_SET_CMPXCHG16B, Feature::cx16},
    IsaFeature{ZYDIS_ISA_SET_F16C, Feature::f16c},
    IsaFeature{ZYDIS_ISA_SET_FCMOV, Feature::cmov},
    IsaFeature{ZYDIS_ISA_SET_FMA, Feature::fma},
    IsaFeature{ZYDIS_ISA_SET_FXSAVE, Feature::fxsr},
    IsaFeature{ZYDIS_ISA_SET_FXSAVE64, Feature::fxsr},
    IsaFeature{ZYDIS_ISA_SET_INVPCID, Feature::invpcid},
    IsaFeature{ZYDIS_ISA_SET_LAHF, Feature::lahf_lm},
    IsaFeature{ZYDIS_ISA_SET_LZCNT, Feature::abm},
    IsaFeature{ZYDIS_ISA_SET_MOVBE, Feature::movbe},
    IsaFeature{ZYDIS_ISA_SET_PCLMULQDQ, Feature::pclmulqdq},
    IsaFeature{ZYDIS_ISA_SET_PENTIUMMMX, Feature::mmx},
    IsaFeature{ZYDIS_ISA_SET_POPCNT, Feature::popcnt},
    IsaFeature{ZYDIS_ISA_SET_PREFETCH_NOP, Feature::three_d_now_prefetch},
    IsaFeature{ZYDIS_ISA_SET_RDPID, Feature::rdpid},
    IsaFeature{ZYDIS_ISA_SET_RDRAND, Feature::rdrand},
    IsaFeature{ZYDIS_ISA_SET_RDSEED, Feature::rdseed},
    IsaFeature{ZYDIS_ISA_SET_RDTSCP, Feature::rdtscp},
    IsaFeature{ZYDIS_ISA_SET_RDWRFSGS, Feature::fsgsbase},
    IsaFeature{ZYDIS_ISA_SET_SHA, Feature::sha_ni},
    IsaFeature{ZYDIS_ISA_SET_SMAP, Feature::smap},
    IsaFeature{ZYDIS_ISA_SET_SSE, Feature::sse},
    IsaFeature{ZYDIS_ISA_SET_SSE2, Feature::sse2},
    IsaFeature{ZYDIS_ISA_SET_SSE2MMX, Feature::sse2},
    IsaFeature{ZYDIS_ISA_SET_SSE3, Feature::pni},
    IsaFeature{ZYDIS_ISA_SET_SSE3X87, Feature::pni},
    IsaFeature{ZYDIS_ISA_SET_SSE4, Feature::sse4_1},
    IsaFeature{ZYDIS_ISA_SET_SSE42, Feature::sse4_2},
    IsaFeature{ZYDIS_ISA_SET_SSE4A, Feature::sse4a},
    IsaFeature{ZYDIS_ISA_SET_SSEMXCSR, Feature::sse},
    IsaFeature{ZYDIS_ISA_SET_SSE_PREFETCH, Feature::sse},
    IsaFeature{ZYDIS_ISA_SET_SSSE3, Feature::ssse3},
    IsaFeature{ZYDIS_ISA_SET_SSSE3MMX, Feature::ssse3},
    IsaFeature{ZYDIS_ISA_SET_X87, Feature::fpu},
    IsaFeature{ZYDIS_ISA_SET_XSAVE, Feature::xsave},
    IsaFeature{ZYDIS_ISA_SET_XSAVEC, Feature::xsavec},
    IsaFeature{ZYDIS_ISA_SET_XSAVEOPT, Feature::xsaveopt},
};

// Part of every processor with a 64-bit mode.
constexpr std::array base_isa{
    ZYDIS_ISA_SET_AMD,      ZYDIS_ISA_SET_FAT_NOP,  ZYDIS_ISA_SET_I186,  ZYDIS_ISA_SET_I286PROTECTED,
    ZYDIS_ISA_SET_I286REAL, ZYDIS_ISA_SET_I386,     ZYDIS_ISA_SET_I486,  ZYDIS_ISA_SET_I486REAL,
    ZYDIS_ISA_SET_I86,      ZYDIS_ISA_SET_LONGMODE, ZYDIS_ISA_SET_PAUSE, ZYDIS_ISA_SET_PENTIUMREAL,
    ZYDIS_ISA_SET_PPRO,     ZYDIS_ISA_SET_RDPMC,
};

struct Exclusion {
    ZydisMnemonic mnemonic;
    std::string_view reason;
};

constexpr std::string_view enters_kernel = "enters the host's kernel";
constexpr std::string_view changing = "its result is never the same twice";
constexpr std::string_view identity = "shows what the host is, not what it does";
constexpr std::string_view tables = "shows the host kernel's tables";

constexpr std::array exclusions{
    Exclusion{ZYDIS_MNEMONIC_SYSCALL, enters_kernel},
    Exclusion{ZYDIS_MNEMONIC_SYSENTER, enters_kernel},
    Exclusion{ZYDIS_MNEMONIC_RDTSC, changing},
    Exclusion{ZYDIS_MNEMONIC_RDTSCP, changing},
    Exclusion{ZYDIS_MNEMONIC_RDRAND, changing},
    Exclusion{ZYDIS_MNEMONIC_RDSEED, changing},
    Exclusion{ZYDIS_MNEMONIC_RDPID, changing},
    Exclusion{ZYDIS_MNEMONIC_RDPMC, "the host decides whether users may (CR4.PCE)"},
    Exclusion{ZYDIS_MNEMONIC_CPUID, identity},
    Exclusion{ZYDIS_MNEMONIC_XGETBV, identity},
    Exclusion{ZYDIS_MNEMONIC_SGDT, tables},
    Exclusion{ZYDIS_MNEMONIC_SIDT, tables},
    Exclusion{ZYDIS_MNEMONIC_SLDT, tables},
    Exclusion{ZYDIS_MNEMONIC_STR, tables},
    Exclusion{ZYDIS_MNEMONIC_SMSW, tables},
    Exclusion{ZYDIS_MNEMONIC_LAR, tables},
    Exclusion{ZYDIS_MNEMONIC_LSL, tables},
    Exclusion{ZYDIS_MNEMONIC_VERR, tables},
    Exclusion{ZYDIS_MNEMONIC_VERW, tables},
    Exclusion{ZYDIS_MNEMONIC_RDFSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_RDGSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_WRFSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_WRGSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_LFS, "would lose the base that the cases rely on"},
    Exclusion{ZYDIS_MNEMONIC_LGS, "would lose the base that the cases rely on"},
};

bool is_branch(ZydisInstructionCategory category) {
    return category == ZYDIS_CATEGORY_COND_BR || category == ZYDIS_CATEGORY_UNCOND_BR ||
           category == ZYDIS_CATEGORY_CALL || category == ZYDIS_CATEGORY_RET;
}

bool has_prefix(const ZydisDecodedInstruction& instruction, std::uint8_t byte) {
    return std::ranges::any_of(std::span(instruction.raw.prefixes).first(instruction.raw.prefix_count),
                               [byte](const auto& prefix) { return prefix.value == byte; });
}

} // namespace

bool vendor_specific(const ZydisDecodedInstruction& instruction) {
    switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
        if (has_prefix(instruction, 0xF2) || has_prefix(instruction, 0xF3)) {
            return true;
        }
        break;
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS: return instruction.raw.rex.W != 0;
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ: return false;
    default: break;
    }
    if (instruction.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 || !is_branch(instruction.meta.category)) {
        return false;
    }
    return instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR
               ? instruction.raw.rex.W != 0 && instruction.meta.category != ZYDIS_CATEGORY_RET
               : has_prefix(instruction, 0x66);
}

cpu::x86::FeatureSet host_features() {
    cpu::x86::FeatureSet features;
    for (const auto& info : cpu::x86::feature_table()) {
        std::array<unsigned, 4> registers{};
        if (info.location == cpu::x86::CpuidRegister::none ||
            (__get_cpuid_count(info.leaf, info.subleaf, &registers[0], &registers[1], &registers[2],
                               &registers[3]) != 0 &&
             (registers[static_cast<std::size_t>(info.location)] >> info.bit & 1) != 0)) {
            features = features.with({info.feature});
        }
    }
    return features;
}

std::string host_vendor() {
    std::array<unsigned, 4> r{};
    __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]);
    std::string name(12, ' ');
    std::memcpy(name.data(), &r[1], 4);
    std::memcpy(name.data() + 4, &r[3], 4);
    std::memcpy(name.data() + 8, &r[2], 4);
    return name;
}

std::string_view reason_to_skip(const ZydisDecodedInstruction& instruction, const cpu::x86::FeatureSet& host,
                                const cpu::x86::Model& model) {
    const auto excluded = std::ranges::find(exclusions, instruction.mnemonic, &Exclusion::mnemonic);
    if (excluded != exclusions.end()) {
        return excluded->reason;
    }
    if (std::ranges::find(base_isa, instruction.meta.isa_set) != base_isa.end()) {
        return {};
    }
    const auto needed = std::ranges::find(isa_features, instruction.meta.isa_set, &IsaFeature::isa);
    if (needed == isa_features.end() || !model.has(needed->feature)) {
        return "the model lacks it";
    }
    return host.has(needed->feature) ? std::string_view{} : "the host lacks it";
}

} // namespace strata::oracle
