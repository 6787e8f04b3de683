#include "cpu/kvm/msrs.hpp"

#include <algorithm>
#include <iterator>

namespace strata::cpu::kvm {
namespace {

using x86::Feature;
using x86::State;
using x86::SystemState;

struct Msr {
    std::uint32_t index;
    Feature feature;
    std::uint64_t& (*place)(SystemState& system);
};

template <auto field>
std::uint64_t& member(SystemState& system) {
    return system.*field;
}

using S = SystemState;

// The machine-check registers are left out while there are no banks: the kernel has none either.
constexpr Msr plain[] = {
    {0x3B, Feature::tsc_adjust, member<&S::tsc_adjust>},
    {0x48, Feature::spec_ctrl, member<&S::spec_ctrl>},
    {0x174, Feature::sep, member<&S::sysenter_cs>},
    {0x175, Feature::sep, member<&S::sysenter_esp>},
    {0x176, Feature::sep, member<&S::sysenter_eip>},
    {0x1A0, Feature::lm, member<&S::misc_enable>},
    {0x277, Feature::pat, member<&S::pat>},
    {0x2FF, Feature::mtrr, member<&S::mtrr_def_type>},
    {0xDA0, Feature::xsaves, member<&S::xss>},
    {0xC000'0081, Feature::syscall, member<&S::star>},
    {0xC000'0082, Feature::lm, member<&S::lstar>},
    {0xC000'0083, Feature::lm, member<&S::cstar>},
    {0xC000'0084, Feature::lm, member<&S::fmask>},
    {0xC000'0102, Feature::lm, member<&S::kernel_gs_base>},
    {0xC000'0103, Feature::rdtscp, member<&S::tsc_aux>},
};

// The fixed-range MTRRs in the order of SystemState::mtrr_fixed.
constexpr std::uint32_t fixed_mtrrs[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26A,
                                         0x26B, 0x26C, 0x26D, 0x26E, 0x26F};
static_assert(std::size(fixed_mtrrs) == std::tuple_size_v<decltype(S::mtrr_fixed)>);
constexpr std::uint32_t first_variable_mtrr = 0x200;

// Calls `visit(index, value)` for each MSR that the model has.
template <class Visit>
void each_msr(SystemState& system, const x86::FeatureSet* features, Visit visit) {
    const auto has = [&](Feature feature) { return features == nullptr || features->has(feature); };
    for (const Msr& msr : plain) {
        if (has(msr.feature)) {
            visit(msr.index, msr.place(system));
        }
    }
    if (has(Feature::mtrr)) {
        for (std::size_t i = 0; i < std::size(fixed_mtrrs); ++i) {
            visit(fixed_mtrrs[i], system.mtrr_fixed[i]);
        }
        for (std::size_t i = 0; i < system.mtrr_variable.size(); ++i) {
            visit(first_variable_mtrr + static_cast<std::uint32_t>(i), system.mtrr_variable[i]);
        }
    }
}

} // namespace

std::vector<kvm_msr_entry> to_msrs(const State& state, const x86::Model& model) {
    std::vector<kvm_msr_entry> entries;
    SystemState system = state.system;
    each_msr(system, &model.features, [&](std::uint32_t index, std::uint64_t value) {
        entries.push_back({.index = index, .reserved = 0, .data = value});
    });
    return entries;
}

void from_msrs(const std::vector<kvm_msr_entry>& entries, State& state) {
    each_msr(state.system, nullptr, [&](std::uint32_t index, std::uint64_t& value) {
        const auto found = std::ranges::find(entries, index, &kvm_msr_entry::index);
        if (found != entries.end()) {
            value = found->data;
        }
    });
}

} // namespace strata::cpu::kvm
