// The CPUID instruction: every leaf derived from the model and the feature table. SDM volume 2A, CPUID;
// APM volume 3 appendix E; XSAVE sizes SDM volume 1 section 13.
#include "base/bits.hpp"
#include "cpu/x86/model.hpp"
#include "cpu/x86/registers.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace strata::cpu::x86 {
namespace {

constexpr std::uint32_t extended_base = 0x8000'0000, hypervisor_base = 0x4000'0000;
constexpr unsigned clflush_line = 64;
constexpr std::uint64_t xcr0_x87 = 1, xcr0_sse = 2, xcr0_avx = 4;
constexpr std::uint32_t xsave_legacy_size = 576, avx_state_size = 256; // the first includes the header

// Up to four characters of `text` from `offset`, as a register holds them; zeros behind its end.
std::uint32_t characters(std::string_view text, std::size_t offset) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4 && offset + i < text.size(); ++i) {
        value |= std::uint32_t{static_cast<unsigned char>(text[offset + i])} << (8 * i);
    }
    return value;
}

// The bits of the feature table that this leaf shows.
CpuidResult feature_bits(const Model& model, std::uint32_t leaf, std::uint32_t subleaf) {
    std::array<std::uint32_t, 5> registers{};
    for (const FeatureInfo& info : feature_table()) {
        if (info.leaf == leaf && info.subleaf == subleaf && model.has(info.feature)) {
            registers[static_cast<std::size_t>(info.location)] |= bit<std::uint32_t>(info.bit);
        }
    }
    return {registers[0], registers[1], registers[2], registers[3]};
}

CpuidResult vendor_leaf(const Model& model, std::uint32_t max_leaf) {
    return {max_leaf, characters(model.vendor, 0), characters(model.vendor, 8), characters(model.vendor, 4)};
}

CpuidResult version_leaf(const Model& model, const CpuidContext& context) {
    CpuidResult result = feature_bits(model, 1, 0);
    result.eax = signature(model);
    if (model.has(Feature::apic)) {
        result.ebx |= context.apic_id << 24;
    }
    if (model.has(Feature::clflush)) {
        result.ebx |= clflush_line / 8 << 8;
    }
    if (context.vcpu_count > 1 && model.has(Feature::ht)) {
        result.ebx |= (std::min(context.vcpu_count, 255U) & 0xFF) << 16;
    } else {
        result.edx &= ~bit<std::uint32_t>(28); // HTT: more than one logical processor in the package
    }
    if (context.osxsave && model.has(Feature::xsave)) {
        result.ecx |= bit<std::uint32_t>(27);
    }
    return result;
}

// How many low bits of the APIC ID number the processors of a package.
unsigned package_shift(const CpuidContext& context) {
    return static_cast<unsigned>(std::bit_width(std::max(context.vcpu_count, 1U) - 1));
}

// Leaf 4: deterministic cache parameters.
CpuidResult cache_leaf(const Model& model, std::uint32_t subleaf, const CpuidContext& context) {
    if (subleaf >= model.caches.size()) {
        return {};
    }
    const Cache& cache = model.caches[subleaf];
    const std::uint32_t processors = std::min((1U << package_shift(context)) - 1, 63U);
    CpuidResult result;
    result.eax = static_cast<std::uint32_t>(cache.type) | cache.level << 5 | 1U << 8 /* self-initializing */ |
                 (cache.shared ? processors : 0) << 14 | processors << 26;
    result.ebx = (cache.line - 1) | (cache.ways - 1) << 22;
    result.ecx = cache.size / cache.ways / cache.line - 1; // sets
    return result;
}

// Leaf 7, whose first subleaf says which is the last.
CpuidResult structured_features(const Model& model, std::uint32_t subleaf) {
    CpuidResult result = feature_bits(model, 7, subleaf);
    if (subleaf == 0) {
        result.eax = model.has(Feature::bhi_ctrl) ? 2 : 0;
    }
    return result;
}

// Leaf 0BH: every processor is a core of its own, all in one package.
CpuidResult topology_leaf(std::uint32_t subleaf, const CpuidContext& context) {
    constexpr std::uint32_t smt = 1, core = 2;
    CpuidResult result{.ecx = subleaf & 0xFF, .edx = context.apic_id};
    if (subleaf == 0) {
        result.ebx = 1;
        result.ecx |= smt << 8;
    } else if (subleaf == 1) {
        result.eax = package_shift(context);
        result.ebx = context.vcpu_count;
        result.ecx |= core << 8;
    }
    return result;
}

// The size of an XSAVE area that holds the components in `mask`; with one component above SSE, the compacted
// and the standard format agree.
std::uint32_t xsave_size(std::uint64_t mask) {
    return xsave_legacy_size + ((mask & xcr0_avx) != 0 ? avx_state_size : 0);
}

CpuidResult xsave_leaf(const Model& model, std::uint32_t subleaf, const CpuidContext& context) {
    const std::uint64_t supported = supported_xcr0(model);
    if (supported == 0) {
        return {};
    }
    switch (subleaf) {
    case 0:
        return {static_cast<std::uint32_t>(supported), xsave_size(context.xcr0), xsave_size(supported),
                static_cast<std::uint32_t>(supported >> 32)};
    case 1: {
        CpuidResult result = feature_bits(model, 0xD, 1);
        result.ebx = model.has(Feature::xsavec) ? xsave_size(context.xcr0 | context.xss) : 0;
        return result;
    }
    case 2:
        return (supported & xcr0_avx) != 0 ? CpuidResult{avx_state_size, xsave_legacy_size, 0, 0}
                                           : CpuidResult{};
    default: return {};
    }
}

// Leaf 15H: TSC = crystal * EBX / EAX. Leaf 16H: the same in MHz.
CpuidResult tsc_leaf(const CpuidContext& context) {
    const auto hz = static_cast<std::uint32_t>(context.tsc_hz);
    return hz == context.tsc_hz ? CpuidResult{1, 1, hz, 0} : CpuidResult{};
}

CpuidResult frequency_leaf(const CpuidContext& context) {
    const auto mhz = static_cast<std::uint32_t>(context.tsc_hz / 1'000'000) & 0xFFFF;
    return {mhz, mhz, 100, 0};
}

CpuidResult basic_leaf(const Model& model, std::uint32_t leaf, std::uint32_t subleaf,
                       const CpuidContext& context) {
    switch (leaf) {
    case 0: return vendor_leaf(model, model.max_leaf);
    case 1: return version_leaf(model, context);
    case 2:
        return {model.cache_descriptors[0], model.cache_descriptors[1], model.cache_descriptors[2],
                model.cache_descriptors[3]};
    case 4: return cache_leaf(model, subleaf, context);
    case 7: return structured_features(model, subleaf);
    case 0xB: return model.has(Feature::x2apic) ? topology_leaf(subleaf, context) : CpuidResult{};
    case 0xD: return xsave_leaf(model, subleaf, context);
    case 0x15: return tsc_leaf(context);
    case 0x16: return frequency_leaf(context);
    default: return feature_bits(model, leaf, subleaf);
    }
}

CpuidResult extended_features(const Model& model, const CpuidContext& context) {
    CpuidResult result = feature_bits(model, extended_base + 1, 0);
    if (model.is_amd()) {
        // AMD repeats leaf 1's EDX for what is not newer than the Athlon.
        constexpr std::uint32_t repeated = 0x0183'F3FF;
        result.eax = signature(model);
        result.edx |= feature_bits(model, 1, 0).edx & repeated;
    } else if (!context.code64) {
        result.edx &= ~bit<std::uint32_t>(11); // Intel's SYSCALL exists in 64-bit mode only
    }
    return result;
}

CpuidResult brand_leaf(const Model& model, std::uint32_t part) {
    const std::size_t offset = std::size_t{part} * 16;
    return {characters(model.brand, offset), characters(model.brand, offset + 4),
            characters(model.brand, offset + 8), characters(model.brand, offset + 12)};
}

const Cache* find_cache(const Model& model, unsigned level, Cache::Type type) {
    const auto found = std::ranges::find_if(
        model.caches, [&](const Cache& cache) { return cache.level == level && cache.type == type; });
    return found == model.caches.end() ? nullptr : &*found;
}

// One first-level cache as in AMD's leaf 8000'0005: KB, ways, lines a tag, line size.
std::uint32_t amd_l1(const Model& model, Cache::Type type) {
    const Cache* cache = find_cache(model, 1, type);
    return cache == nullptr ? 0 : cache->size >> 10 << 24 | cache->ways << 16 | 1U << 8 | cache->line;
}

// Leaf 8000'0006 ECX: KB, encoded associativity, line size of the second level.
std::uint32_t l2(const Model& model) {
    const Cache* cache = find_cache(model, 2, Cache::Type::unified);
    if (cache == nullptr) {
        return 0;
    }
    const std::uint32_t encoded_ways = cache->ways == 16 ? 8 : cache->ways == 8 ? 6 : 4;
    return cache->size >> 10 << 16 | encoded_ways << 12 | cache->line;
}

CpuidResult extended_leaf(const Model& model, std::uint32_t leaf, const CpuidContext& context) {
    switch (leaf - extended_base) {
    case 0:
        return model.is_amd() ? vendor_leaf(model, model.max_extended_leaf)
                              : CpuidResult{.eax = model.max_extended_leaf};
    case 1: return extended_features(model, context);
    case 2:
    case 3:
    case 4: return brand_leaf(model, leaf - extended_base - 2);
    case 5:
        return model.is_amd() ? CpuidResult{.ecx = amd_l1(model, Cache::Type::data),
                                            .edx = amd_l1(model, Cache::Type::instruction)}
                              : CpuidResult{};
    case 6: return {.ecx = l2(model)};
    case 8: return {.eax = model.physical_address_bits | model.linear_address_bits << 8};
    default: return feature_bits(model, leaf, 0);
    }
}

} // namespace

std::uint32_t signature(const Model& model) {
    const unsigned base_family = std::min(model.family, 0xFU);
    return model.stepping | (model.model & 0xF) << 4 | base_family << 8 | (model.model >> 4) << 16 |
           (model.family - base_family) << 20;
}

std::uint64_t supported_xcr0(const Model& model) {
    if (!model.has(Feature::xsave)) {
        return 0;
    }
    return xcr0_x87 | xcr0_sse | (model.has(Feature::avx) ? xcr0_avx : 0);
}

std::uint64_t supported_rflags(const Model& model) {
    constexpr std::uint64_t i386 = flag::arithmetic | flag::fixed | flag::tf | flag::if_ | flag::df |
                                   flag::iopl | flag::nt | flag::rf | flag::vm;
    return i386 | (model.has(Feature::i486) ? flag::ac : 0) | (model.has(Feature::cpuid) ? flag::id : 0) |
           (model.has(Feature::vme) ? flag::vif | flag::vip : 0);
}

CpuidResult cpuid(const Model& model, std::uint32_t leaf, std::uint32_t subleaf,
                  const CpuidContext& context) {
    if (leaf >= hypervisor_base && leaf < hypervisor_base + 0x1000'0000 && model.has(Feature::hypervisor)) {
        return {}; // the paravirtual interfaces fill these in
    }
    if (leaf >= extended_base ? leaf <= model.max_extended_leaf : leaf <= model.max_leaf) {
        return leaf >= extended_base ? extended_leaf(model, leaf, context)
                                     : basic_leaf(model, leaf, subleaf, context);
    }
    // Beyond the last leaf, Intel answers as the last basic one, AMD with zeros.
    return model.is_amd() ? CpuidResult{} : basic_leaf(model, model.max_leaf, subleaf, context);
}

} // namespace strata::cpu::x86
