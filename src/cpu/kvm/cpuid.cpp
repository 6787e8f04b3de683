#include "cpu/kvm/cpuid.hpp"

#include "cpu/x86/model_changes.hpp"

#include <algorithm>
#include <array>

namespace strata::cpu::kvm {
namespace {

using x86::CpuidRegister;
using x86::Feature;

std::uint32_t register_of(const kvm_cpuid_entry2& entry, CpuidRegister which) {
    switch (which) {
    case CpuidRegister::eax: return entry.eax;
    case CpuidRegister::ebx: return entry.ebx;
    case CpuidRegister::ecx: return entry.ecx;
    case CpuidRegister::edx: return entry.edx;
    case CpuidRegister::none: break;
    }
    return 0;
}

// What is the machine's to show, whatever the host has: the monitor's own devices and its word that it is
// there.
bool given_by_the_machine(Feature feature) {
    constexpr std::array features{Feature::hypervisor, Feature::x2apic, Feature::tsc_deadline_timer,
                                  Feature::apic,       Feature::ht,     Feature::arat};
    return std::ranges::find(features, feature) != features.end();
}

// Whose state only XSAVE keeps: a kernel may list them without it.
bool needs_xsave(Feature feature) {
    constexpr std::array features{Feature::avx,      Feature::avx2,   Feature::fma,    Feature::f16c,
                                  Feature::xsaveopt, Feature::xsavec, Feature::xsaves, Feature::xgetbv1};
    return std::ranges::find(features, feature) != features.end();
}

bool host_has(const System& system, const x86::FeatureInfo& info) {
    if (info.location == CpuidRegister::none || given_by_the_machine(info.feature)) {
        return true;
    }
    if (needs_xsave(info.feature) &&
        !host_has(system, x86::feature_table()[static_cast<std::size_t>(Feature::xsave)])) {
        return false;
    }
    return std::ranges::any_of(system.supported_cpuid(), [&](const kvm_cpuid_entry2& entry) {
        return entry.function == info.leaf && entry.index == info.subleaf &&
               ((register_of(entry, info.location) >> info.bit) & 1) != 0;
    });
}

unsigned physical_address_bits(const System& system) {
    constexpr std::uint32_t address_sizes = 0x8000'0008;
    constexpr unsigned without_leaf = 36;
    const auto& entries = system.supported_cpuid();
    const auto found = std::ranges::find(entries, address_sizes, &kvm_cpuid_entry2::function);
    return found == entries.end() ? without_leaf : found->eax & 0xFF;
}

// Leaves with subleaves, and how many of those say something.
std::uint32_t subleaves(std::uint32_t leaf, const x86::Model& model) {
    switch (leaf) {
    case 0x4: return static_cast<std::uint32_t>(model.caches.size()) + 1;
    case 0x7: return 3;
    case 0xB: return 3;
    case 0xD: return 3;
    default: return 0;
    }
}

class Entries {
public:
    Entries(const VcpuConfig& config, Bus& bus) : config_(config), bus_(bus) {}

    void add_range(std::uint32_t first, std::uint32_t last) {
        for (std::uint32_t leaf = first; leaf <= last; ++leaf) {
            const std::uint32_t count = subleaves(leaf, *config_.model);
            for (std::uint32_t subleaf = 0; subleaf < std::max(count, 1U); ++subleaf) {
                add(leaf, subleaf, count == 0 ? 0 : KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
            }
        }
    }

    [[nodiscard]] std::vector<kvm_cpuid_entry2> take() { return std::move(entries_); }

private:
    void add(std::uint32_t leaf, std::uint32_t subleaf, std::uint32_t flags) {
        const x86::CpuidContext context{.apic_id = config_.id,
                                        .vcpu_count = config_.count,
                                        .xcr0 = x86::supported_xcr0(*config_.model),
                                        .tsc_hz = config_.tsc_hz};
        const auto result = x86::cpuid(*config_.model, leaf, subleaf, context);
        std::array registers{result.eax, result.ebx, result.ecx, result.edx};
        bus_.adjust_cpuid(leaf, subleaf, registers);
        entries_.push_back({.function = leaf,
                            .index = subleaf,
                            .flags = flags,
                            .eax = registers[0],
                            .ebx = registers[1],
                            .ecx = registers[2],
                            .edx = registers[3],
                            .padding = {}});
    }

    const VcpuConfig& config_;
    Bus& bus_;
    std::vector<kvm_cpuid_entry2> entries_;
};

} // namespace

std::vector<Feature> missing_features(const System& system, const x86::Model& model) {
    std::vector<Feature> missing;
    for (const x86::FeatureInfo& info : x86::feature_table()) {
        if (model.has(info.feature) && !host_has(system, info)) {
            missing.push_back(info.feature);
        }
    }
    return missing;
}

Result<x86::Model> fit_model(const System& system, const x86::Model& model) {
    x86::Model fitted = model;
    const auto missing = missing_features(system, model);
    if (model.name == "max") {
        for (const Feature feature : missing) {
            fitted.features = x86::without(fitted.features, feature);
        }
        fitted.physical_address_bits = std::min(model.physical_address_bits, physical_address_bits(system));
        return fitted;
    }
    if (!model.has(Feature::cpuid) || !model.has(Feature::msr)) {
        return fail("KVM can't make a processor look as old as the CPU model " + std::string(model.name),
                    "choose --engine interpreter, or a --cpu from pentium on");
    }
    if (!missing.empty()) {
        std::string names, without;
        for (const Feature feature : missing) {
            names.append(names.empty() ? "" : " ").append(x86::feature_name(feature));
            without.append(",-").append(x86::feature_name(feature));
        }
        return fail("the host's processor can't give the CPU model " + std::string(model.name) +
                        ": it lacks " + names,
                    "leave out what is missing (--cpu " + std::string(model.name) + without +
                        "), take --cpu max, or another --engine");
    }
    return fitted;
}

std::vector<kvm_cpuid_entry2> cpuid_entries(const VcpuConfig& config, Bus& bus) {
    constexpr std::uint32_t hypervisor = 0x4000'0000, hypervisor_last = 0x4000'0001, extended = 0x8000'0000;
    Entries entries(config, bus);
    entries.add_range(0, config.model->max_leaf);
    if (config.model->has(Feature::hypervisor)) {
        entries.add_range(hypervisor, hypervisor_last);
    }
    if (config.model->max_extended_leaf >= extended) {
        entries.add_range(extended, config.model->max_extended_leaf);
    }
    return entries.take();
}

} // namespace strata::cpu::kvm
