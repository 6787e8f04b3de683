// From Zydis's ISA sets to CPUID features. SDM volume 1 chapter 5 and volume 2's CPUID feature columns; APM
// volume 3 appendix D.
#include "cpu/x86/isa_features.hpp"

#include <algorithm>
#include <iterator>
#include <optional>

namespace strata::cpu::x86 {

namespace {

// One or two features that an instruction needs; `none` of them makes it one that every model has.
struct Needs {
    Feature first = Feature::count, second = Feature::count;

    [[nodiscard]] bool met_by(const Model& model) const {
        return (first == Feature::count || model.has(first)) &&
               (second == Feature::count || model.has(second));
    }
};

struct SetNeeds {
    ZydisISASet set;
    Needs needs;
};

struct MnemonicNeeds {
    ZydisMnemonic mnemonic;
    Needs needs;
};

using enum Feature;

constexpr SetNeeds set_table[] = {
    {ZYDIS_ISA_SET_I86, {}},
    {ZYDIS_ISA_SET_I186, {}},
    {ZYDIS_ISA_SET_I286PROTECTED, {}},
    {ZYDIS_ISA_SET_I286REAL, {}},
    {ZYDIS_ISA_SET_I386, {}},
    {ZYDIS_ISA_SET_PAUSE, {}}, // NOP before the Pentium 4
    {ZYDIS_ISA_SET_I486, {i486}},
    {ZYDIS_ISA_SET_I486REAL, {i486}},
    {ZYDIS_ISA_SET_PENTIUMREAL, {Feature::cpuid}},
    {ZYDIS_ISA_SET_PENTIUMMMX, {mmx}},
    {ZYDIS_ISA_SET_PPRO, {cmov}}, // the P6 family and its equals
    {ZYDIS_ISA_SET_FAT_NOP, {cmov}},
    {ZYDIS_ISA_SET_RDPMC, {cmov}},
    {ZYDIS_ISA_SET_X87, {fpu}},
    {ZYDIS_ISA_SET_CMOV, {cmov}},
    {ZYDIS_ISA_SET_FCMOV, {fpu, cmov}},
    {ZYDIS_ISA_SET_FXSAVE, {fxsr}},
    {ZYDIS_ISA_SET_FXSAVE64, {fxsr}},
    {ZYDIS_ISA_SET_SSE, {sse}},
    {ZYDIS_ISA_SET_SSEMXCSR, {sse}},
    {ZYDIS_ISA_SET_SSE_PREFETCH, {sse}},
    {ZYDIS_ISA_SET_SSE2, {sse2}},
    {ZYDIS_ISA_SET_SSE2MMX, {sse2}},
    {ZYDIS_ISA_SET_SSE3, {pni}},
    {ZYDIS_ISA_SET_SSE3X87, {pni}},
    {ZYDIS_ISA_SET_SSSE3, {ssse3}},
    {ZYDIS_ISA_SET_SSSE3MMX, {ssse3}},
    {ZYDIS_ISA_SET_SSE4, {sse4_1}},
    {ZYDIS_ISA_SET_SSE42, {sse4_2}},
    {ZYDIS_ISA_SET_SSE4A, {sse4a}},
    {ZYDIS_ISA_SET_AES, {aes}},
    {ZYDIS_ISA_SET_PCLMULQDQ, {pclmulqdq}},
    {ZYDIS_ISA_SET_SHA, {sha_ni}},
    {ZYDIS_ISA_SET_AVX, {avx}},
    {ZYDIS_ISA_SET_AVXAES, {avx, aes}},
    {ZYDIS_ISA_SET_AVX2, {avx2}},
    {ZYDIS_ISA_SET_AVX2GATHER, {avx2}},
    {ZYDIS_ISA_SET_F16C, {f16c}},
    {ZYDIS_ISA_SET_FMA, {fma}},
    {ZYDIS_ISA_SET_BMI1, {bmi1}},
    {ZYDIS_ISA_SET_BMI2, {bmi2}},
    {ZYDIS_ISA_SET_LZCNT, {abm}},
    {ZYDIS_ISA_SET_POPCNT, {popcnt}},
    {ZYDIS_ISA_SET_MOVBE, {movbe}},
    {ZYDIS_ISA_SET_ADOX_ADCX, {adx}},
    {ZYDIS_ISA_SET_AMD3DNOW, {three_d_now}},
    {ZYDIS_ISA_SET_PREFETCH_NOP, {lm}},
    {ZYDIS_ISA_SET_PREFETCHWT1, {lm}}, // PREFETCHW's neighbour: a hint
    {ZYDIS_ISA_SET_CLFSH, {clflush}},
    {ZYDIS_ISA_SET_CLFLUSHOPT, {clflushopt}},
    {ZYDIS_ISA_SET_CMPXCHG16B, {cx16}},
    {ZYDIS_ISA_SET_LAHF, {}}, // see mnemonic_table for 64-bit mode
    {ZYDIS_ISA_SET_LONGMODE, {lm}},
    {ZYDIS_ISA_SET_AMD, {syscall}},
    {ZYDIS_ISA_SET_RDTSCP, {rdtscp}},
    {ZYDIS_ISA_SET_RDPID, {rdpid}},
    {ZYDIS_ISA_SET_RDRAND, {rdrand}},
    {ZYDIS_ISA_SET_RDSEED, {rdseed}},
    {ZYDIS_ISA_SET_RDWRFSGS, {fsgsbase}},
    {ZYDIS_ISA_SET_SMAP, {smap}},
    {ZYDIS_ISA_SET_INVPCID, {invpcid}},
    {ZYDIS_ISA_SET_MONITOR, {monitor}},
    {ZYDIS_ISA_SET_XSAVE, {xsave}},
    {ZYDIS_ISA_SET_XSAVEOPT, {xsaveopt}},
    {ZYDIS_ISA_SET_XSAVEC, {xsavec}},
    {ZYDIS_ISA_SET_XSAVES, {xsaves}},
};

// Where the ISA set is too coarse.
constexpr MnemonicNeeds mnemonic_table[] = {
    {ZYDIS_MNEMONIC_RDTSC, {tsc}},
    {ZYDIS_MNEMONIC_RDMSR, {msr}},
    {ZYDIS_MNEMONIC_WRMSR, {msr}},
    {ZYDIS_MNEMONIC_CMPXCHG8B, {cx8}},
    {ZYDIS_MNEMONIC_SYSENTER, {sep}},
    {ZYDIS_MNEMONIC_SYSEXIT, {sep}},
    {ZYDIS_MNEMONIC_SYSCALL, {syscall}},
    {ZYDIS_MNEMONIC_SYSRET, {syscall}},
    {ZYDIS_MNEMONIC_UD0, {}},
    {ZYDIS_MNEMONIC_UD1, {}},
    {ZYDIS_MNEMONIC_UD2, {}},
    {ZYDIS_MNEMONIC_PSWAPD, {three_d_now_ext}},
    {ZYDIS_MNEMONIC_PF2IW, {three_d_now_ext}},
    {ZYDIS_MNEMONIC_PI2FW, {three_d_now_ext}},
    {ZYDIS_MNEMONIC_PFNACC, {three_d_now_ext}},
    {ZYDIS_MNEMONIC_PFPNACC, {three_d_now_ext}},
    {ZYDIS_MNEMONIC_VPCLMULQDQ, {avx, pclmulqdq}},
};

// What SSE, and AMD's extensions before it, added on MM registers; Zydis counts it as MMX.
constexpr ZydisMnemonic mmx_extensions[] = {
    ZYDIS_MNEMONIC_MASKMOVQ, ZYDIS_MNEMONIC_MOVNTQ, ZYDIS_MNEMONIC_PAVGB,    ZYDIS_MNEMONIC_PAVGW,
    ZYDIS_MNEMONIC_PEXTRW,   ZYDIS_MNEMONIC_PINSRW, ZYDIS_MNEMONIC_PMAXSW,   ZYDIS_MNEMONIC_PMAXUB,
    ZYDIS_MNEMONIC_PMINSW,   ZYDIS_MNEMONIC_PMINUB, ZYDIS_MNEMONIC_PMOVMSKB, ZYDIS_MNEMONIC_PMULHUW,
    ZYDIS_MNEMONIC_PSADBW,   ZYDIS_MNEMONIC_PSHUFW,
};

bool is_mmx_extension(const ZydisDecodedInstruction& instruction) {
    return instruction.meta.isa_ext == ZYDIS_ISA_EXT_MMX &&
           std::ranges::find(mmx_extensions, instruction.mnemonic) != std::end(mmx_extensions);
}

template <class Table, class Key>
std::optional<Needs> find(const Table& table, Key wanted) {
    for (const auto& [key, needs] : table) {
        if (key == wanted) {
            return needs;
        }
    }
    return std::nullopt;
}

bool is_prefetch(const ZydisDecodedInstruction& instruction) {
    return instruction.mnemonic == ZYDIS_MNEMONIC_PREFETCH ||
           instruction.mnemonic == ZYDIS_MNEMONIC_PREFETCHW;
}

} // namespace

bool has_instruction(const Model& model, const ZydisDecodedInstruction& instruction) {
    if (is_prefetch(instruction)) { // three features bring it
        return model.has(three_d_now) || model.has(three_d_now_prefetch) || model.has(lm);
    }
    if (instruction.meta.isa_set == ZYDIS_ISA_SET_LAHF &&
        instruction.machine_mode == ZYDIS_MACHINE_MODE_LONG_64) {
        return model.has(lahf_lm);
    }
    if (instruction.mnemonic == ZYDIS_MNEMONIC_VPCLMULQDQ && instruction.avx.vector_length != 128) {
        return false; // wider ones are a feature that no model has
    }
    if (is_mmx_extension(instruction)) {
        return model.has(sse) || model.has(mmxext);
    }
    if (const auto needs = find(mnemonic_table, instruction.mnemonic)) {
        return needs->met_by(model);
    }
    const auto needs = find(set_table, instruction.meta.isa_set);
    return needs && needs->met_by(model);
}

} // namespace strata::cpu::x86
