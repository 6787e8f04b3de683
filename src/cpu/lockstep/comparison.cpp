#include "cpu/lockstep/comparison.hpp"

#include "cpu/x86/register_names.hpp"
#include "cpu/x86/state_fields.hpp"

#include <fmt/format.h>

namespace strata::cpu::lockstep {

void forgive(const x86::State& leader, x86::State& follower, std::uint64_t undefined) {
    for (std::size_t i = 0; i < leader.gpr.size(); ++i) {
        if (images_of_flags(leader.gpr[i], follower.gpr[i])) {
            follower.gpr[i] = leader.gpr[i];
        }
    }
    const std::uint64_t forgiven = (undefined & x86::flag::arithmetic) | x86::flag::rf;
    follower.rflags = (follower.rflags & ~forgiven) | (leader.rflags & forgiven);
    follower.sti_shadow = leader.sti_shadow;
}

std::string difference(const x86::State& leader, const x86::State& follower) {
    std::string text;
    for (const x86::StateField& field : x86::state_fields()) {
        const std::uint64_t a = get(leader, field), b = get(follower, field);
        if (a != b) {
            text += fmt::format("  {:<8} {:#018x}  {:#018x}\n", field.name, a, b);
        }
    }
    return text;
}

std::string describe(const x86::State& state) {
    std::string text;
    for (std::size_t i = 0; i < state.gpr.size(); ++i) {
        text += fmt::format("  {:<3} {:016x}", x86::register_names[i], state.gpr[i]);
        text += i % 4 == 3 ? "\n" : "";
    }
    text += fmt::format(
        "  rip {:016x}  rflags {:06x}  cs {:04x}  ss {:04x}  cr0 {:x}  cr2 {:x}  cr3 {:x}  cr4 {:x}\n",
        state.rip, state.rflags, state.system.segments[x86::cs].selector,
        state.system.segments[x86::ss].selector, state.system.cr0, state.system.cr2, state.system.cr3,
        state.system.cr4);
    return text;
}

} // namespace strata::cpu::lockstep
