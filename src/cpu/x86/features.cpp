// The one table of features: each one's name and its place in CPUID. SDM volume 2A, CPUID; APM volume 3
// appendix E.
#include "cpu/x86/model.hpp"

namespace strata::cpu::x86 {
namespace {

using enum CpuidRegister;
using F = Feature;

constexpr std::uint32_t extended = 0x8000'0001;
constexpr std::size_t feature_count = static_cast<std::size_t>(F::count);

constexpr std::array<FeatureInfo, feature_count> table{{
    {F::fpu, "fpu", 1, 0, edx, 0},
    {F::vme, "vme", 1, 0, edx, 1},
    {F::de, "de", 1, 0, edx, 2},
    {F::pse, "pse", 1, 0, edx, 3},
    {F::tsc, "tsc", 1, 0, edx, 4},
    {F::msr, "msr", 1, 0, edx, 5},
    {F::pae, "pae", 1, 0, edx, 6},
    {F::mce, "mce", 1, 0, edx, 7},
    {F::cx8, "cx8", 1, 0, edx, 8},
    {F::apic, "apic", 1, 0, edx, 9},
    {F::sep, "sep", 1, 0, edx, 11},
    {F::mtrr, "mtrr", 1, 0, edx, 12},
    {F::pge, "pge", 1, 0, edx, 13},
    {F::mca, "mca", 1, 0, edx, 14},
    {F::cmov, "cmov", 1, 0, edx, 15},
    {F::pat, "pat", 1, 0, edx, 16},
    {F::pse36, "pse36", 1, 0, edx, 17},
    {F::clflush, "clflush", 1, 0, edx, 19},
    {F::mmx, "mmx", 1, 0, edx, 23},
    {F::fxsr, "fxsr", 1, 0, edx, 24},
    {F::sse, "sse", 1, 0, edx, 25},
    {F::sse2, "sse2", 1, 0, edx, 26},
    {F::ht, "ht", 1, 0, edx, 28},
    {F::pni, "pni", 1, 0, ecx, 0},
    {F::pclmulqdq, "pclmulqdq", 1, 0, ecx, 1},
    {F::monitor, "monitor", 1, 0, ecx, 3},
    {F::ssse3, "ssse3", 1, 0, ecx, 9},
    {F::fma, "fma", 1, 0, ecx, 12},
    {F::cx16, "cx16", 1, 0, ecx, 13},
    {F::pcid, "pcid", 1, 0, ecx, 17},
    {F::sse4_1, "sse4_1", 1, 0, ecx, 19},
    {F::sse4_2, "sse4_2", 1, 0, ecx, 20},
    {F::x2apic, "x2apic", 1, 0, ecx, 21},
    {F::movbe, "movbe", 1, 0, ecx, 22},
    {F::popcnt, "popcnt", 1, 0, ecx, 23},
    {F::tsc_deadline_timer, "tsc_deadline_timer", 1, 0, ecx, 24},
    {F::aes, "aes", 1, 0, ecx, 25},
    {F::xsave, "xsave", 1, 0, ecx, 26},
    {F::avx, "avx", 1, 0, ecx, 28},
    {F::f16c, "f16c", 1, 0, ecx, 29},
    {F::rdrand, "rdrand", 1, 0, ecx, 30},
    {F::hypervisor, "hypervisor", 1, 0, ecx, 31},
    {F::fsgsbase, "fsgsbase", 7, 0, ebx, 0},
    {F::tsc_adjust, "tsc_adjust", 7, 0, ebx, 1},
    {F::bmi1, "bmi1", 7, 0, ebx, 3},
    {F::avx2, "avx2", 7, 0, ebx, 5},
    {F::smep, "smep", 7, 0, ebx, 7},
    {F::bmi2, "bmi2", 7, 0, ebx, 8},
    {F::erms, "erms", 7, 0, ebx, 9},
    {F::invpcid, "invpcid", 7, 0, ebx, 10},
    {F::rdseed, "rdseed", 7, 0, ebx, 18},
    {F::adx, "adx", 7, 0, ebx, 19},
    {F::smap, "smap", 7, 0, ebx, 20},
    {F::clflushopt, "clflushopt", 7, 0, ebx, 23},
    {F::sha_ni, "sha_ni", 7, 0, ebx, 29},
    {F::umip, "umip", 7, 0, ecx, 2},
    {F::rdpid, "rdpid", 7, 0, ecx, 22},
    {F::fsrm, "fsrm", 7, 0, edx, 4},
    {F::spec_ctrl, "spec_ctrl", 7, 0, edx, 26},
    {F::arch_capabilities, "arch_capabilities", 7, 0, edx, 29},
    {F::bhi_ctrl, "bhi_ctrl", 7, 2, edx, 4},
    {F::xsaveopt, "xsaveopt", 0xD, 1, eax, 0},
    {F::xsavec, "xsavec", 0xD, 1, eax, 1},
    {F::xsaves, "xsaves", 0xD, 1, eax, 3},
    {F::xgetbv1, "xgetbv1", 0xD, 1, eax, 2},
    {F::arat, "arat", 6, 0, eax, 2},
    {F::syscall, "syscall", extended, 0, edx, 11},
    {F::nx, "nx", extended, 0, edx, 20},
    {F::mmxext, "mmxext", extended, 0, edx, 22},
    {F::fxsr_opt, "fxsr_opt", extended, 0, edx, 25},
    {F::pdpe1gb, "pdpe1gb", extended, 0, edx, 26},
    {F::rdtscp, "rdtscp", extended, 0, edx, 27},
    {F::lm, "lm", extended, 0, edx, 29},
    {F::three_d_now_ext, "3dnowext", extended, 0, edx, 30},
    {F::three_d_now, "3dnow", extended, 0, edx, 31},
    {F::lahf_lm, "lahf_lm", extended, 0, ecx, 0},
    {F::cr8_legacy, "cr8_legacy", extended, 0, ecx, 4},
    {F::abm, "abm", extended, 0, ecx, 5},
    {F::sse4a, "sse4a", extended, 0, ecx, 6},
    {F::misalignsse, "misalignsse", extended, 0, ecx, 7},
    {F::three_d_now_prefetch, "3dnowprefetch", extended, 0, ecx, 8},
    {F::constant_tsc, "constant_tsc", 0x8000'0007, 0, edx, 8},
    {F::cpuid, "cpuid"},
    {F::i486, "i486"},
}};

constexpr bool in_order() {
    for (std::size_t i = 0; i < feature_count; ++i) {
        if (table[i].feature != static_cast<F>(i)) {
            return false;
        }
    }
    return true;
}

static_assert(in_order(), "the table is indexed by Feature");

} // namespace

std::span<const FeatureInfo> feature_table() { return table; }

std::string_view feature_name(Feature feature) { return table.at(static_cast<std::size_t>(feature)).name; }

} // namespace strata::cpu::x86
