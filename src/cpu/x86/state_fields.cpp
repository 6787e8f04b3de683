#include "cpu/x86/state_fields.hpp"

#include "cpu/x86/register_names.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <type_traits>
#include <vector>

namespace strata::cpu::x86 {
namespace {

static_assert(std::is_trivially_copyable_v<State>);

class Collector {
public:
    template <class T>
    void add(std::string name, const T& part, std::uint64_t most = limit<T>()) {
        const auto offset =
            reinterpret_cast<const std::byte*>(&part) - reinterpret_cast<const std::byte*>(&state);
        fields.push_back({std::move(name), static_cast<std::size_t>(offset), sizeof part, most});
    }

    template <class T, std::size_t N>
    void add(const std::string& name, const std::array<T, N>& parts) {
        for (std::size_t i = 0; i < N; ++i) {
            add(fmt::format("{}{}", name, i), parts[i]);
        }
    }

    void add(const std::string& name, const Segment& segment) {
        add(name + ".selector", segment.selector);
        add(name + ".base", segment.base);
        add(name + ".limit", segment.limit);
        add(name + ".attributes", segment.attributes);
        add(name + ".unusable", segment.unusable);
    }

    void add(const std::string& name, const DescriptorTable& table) {
        add(name + ".base", table.base);
        add(name + ".limit", table.limit);
    }

    void add(const std::string& name, const Float80& number) {
        add(name + ".significand", number.significand);
        add(name + ".exponent", number.sign_exponent);
    }

    void add(const std::string& name, const Vector256& vector) { add(name + ".", vector.lanes); }

    const State state{};
    std::vector<StateField> fields;

private:
    template <class T>
    static constexpr std::uint64_t limit() {
        if constexpr (std::is_same_v<T, bool>) {
            return 1;
        } else if constexpr (std::is_same_v<T, Activity>) {
            return static_cast<std::uint64_t>(Activity::wait_sipi);
        } else {
            return static_cast<std::uint64_t>(std::numeric_limits<std::make_unsigned_t<T>>::max());
        }
    }
};

void add_system(Collector& all, const SystemState& system) {
    all.add("cr0", system.cr0);
    all.add("cr2", system.cr2);
    all.add("cr3", system.cr3);
    all.add("cr4", system.cr4);
    all.add("efer", system.efer);
    constexpr std::array names{"es", "cs", "ss", "ds", "fs", "gs"};
    for (std::size_t i = 0; i < names.size(); ++i) {
        all.add(names[i], system.segments[i]);
    }
    all.add("ldtr", system.ldtr);
    all.add("tr", system.tr);
    all.add("gdtr", system.gdtr);
    all.add("idtr", system.idtr);
    all.add("dr", system.dr);
    all.add("dr6", system.dr6);
    all.add("dr7", system.dr7);
    all.add("xcr0", system.xcr0);
    all.add("xss", system.xss);
    all.add("star", system.star);
    all.add("lstar", system.lstar);
    all.add("cstar", system.cstar);
    all.add("fmask", system.fmask);
    all.add("kernel_gs_base", system.kernel_gs_base);
    all.add("tsc_aux", system.tsc_aux);
    all.add("sysenter_cs", system.sysenter_cs);
    all.add("sysenter_esp", system.sysenter_esp);
    all.add("sysenter_eip", system.sysenter_eip);
    all.add("pat", system.pat);
    all.add("misc_enable", system.misc_enable);
    all.add("debug_ctl", system.debug_ctl);
    all.add("spec_ctrl", system.spec_ctrl);
    all.add("mtrr_def_type", system.mtrr_def_type);
    all.add("mtrr_fixed", system.mtrr_fixed);
    all.add("mtrr_variable", system.mtrr_variable);
    all.add("mcg_status", system.mcg_status);
    all.add("mcg_ctl", system.mcg_ctl);
    all.add("tsc_offset", system.tsc_offset);
    all.add("tsc_adjust", system.tsc_adjust);
    all.add("smbase", system.smbase);
}

void add_fp(Collector& all, const FpState& fp) {
    all.add("fcw", fp.fcw);
    all.add("fsw", fp.fsw);
    all.add("abridged_tag", fp.abridged_tag);
    all.add("fop", fp.fop);
    all.add("fcs", fp.fcs);
    all.add("fds", fp.fds);
    all.add("fip", fp.fip);
    all.add("fdp", fp.fdp);
    all.add("mxcsr", fp.mxcsr);
    all.add("x87.r", fp.physical);
    all.add("ymm", fp.ymm);
}

std::vector<StateField> collect() {
    Collector all;
    const State& state = all.state;
    for (std::size_t i = 0; i < state.gpr.size(); ++i) {
        all.add(std::string(register_names[i]), state.gpr[i]);
    }
    all.add("rip", state.rip);
    all.add("rflags", state.rflags);
    add_system(all, state.system);
    add_fp(all, state.fp);
    all.add("activity", state.activity);
    all.add("sti_shadow", state.sti_shadow);
    all.add("movss_shadow", state.movss_shadow);
    all.add("nmi_blocked", state.nmi_blocked);
    all.add("in_smm", state.in_smm);
    return std::move(all.fields);
}

} // namespace

std::span<const StateField> state_fields() {
    static const std::vector<StateField> fields = collect();
    return fields;
}

const StateField* find_state_field(std::string_view name) {
    const auto fields = state_fields();
    const auto found = std::ranges::find(fields, name, &StateField::name);
    return found == fields.end() ? nullptr : &*found;
}

// The host is little endian: the low bytes come first.
std::uint64_t get(const State& state, const StateField& field) {
    std::uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const std::byte*>(&state) + field.offset, field.size);
    return value;
}

void set(State& state, const StateField& field, std::uint64_t value) {
    std::memcpy(reinterpret_cast<std::byte*>(&state) + field.offset, &value, field.size);
}

} // namespace strata::cpu::x86
