#include "cpu/lockstep/comparison.hpp"

#include "cpu/x86/register_names.hpp"

#include <fmt/format.h>

namespace strata::cpu::lockstep {
namespace {

class Differences {
public:
    void add(std::string_view name, std::uint64_t leader, std::uint64_t follower) {
        if (leader != follower) {
            text_ += fmt::format("  {:<8} {:#018x}  {:#018x}\n", name, leader, follower);
        }
    }

    void add_part(std::string_view name, bool same) {
        if (!same) {
            text_ += fmt::format("  {}\n", name);
        }
    }

    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string text_;
};

} // namespace

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
    if (leader == follower) {
        return {};
    }
    Differences differences;
    for (std::size_t i = 0; i < leader.gpr.size(); ++i) {
        differences.add(x86::register_names[i], leader.gpr[i], follower.gpr[i]);
    }
    differences.add("rip", leader.rip, follower.rip);
    differences.add("rflags", leader.rflags, follower.rflags);
    for (std::size_t i = 0; i < leader.fp.ymm.size(); ++i) {
        for (unsigned lane = 0; lane < 4; ++lane) {
            differences.add(fmt::format("ymm{}.{}", i, lane), leader.fp.ymm[i].lanes[lane],
                            follower.fp.ymm[i].lanes[lane]);
        }
    }
    for (std::size_t i = 0; i < leader.fp.physical.size(); ++i) {
        differences.add_part(fmt::format("x87 register {}", i),
                             leader.fp.physical[i] == follower.fp.physical[i]);
    }
    differences.add("mxcsr", leader.fp.mxcsr, follower.fp.mxcsr);
    differences.add("fsw", leader.fp.fsw, follower.fp.fsw);
    differences.add("fcw", leader.fp.fcw, follower.fp.fcw);
    differences.add("fip", leader.fp.fip, follower.fp.fip);
    differences.add("fdp", leader.fp.fdp, follower.fp.fdp);
    differences.add("cr0", leader.system.cr0, follower.system.cr0);
    differences.add("cr2", leader.system.cr2, follower.system.cr2);
    differences.add("cr3", leader.system.cr3, follower.system.cr3);
    differences.add("cr4", leader.system.cr4, follower.system.cr4);
    for (std::size_t i = 0; i < leader.system.segments.size(); ++i) {
        differences.add_part(fmt::format("segment register {}", i),
                             leader.system.segments[i] == follower.system.segments[i]);
    }
    differences.add_part("the rest of the x87 and vector state", leader.fp == follower.fp);
    differences.add_part("the system state (the above, tables, MSRs, debug registers)",
                         leader.system == follower.system);
    differences.add("activity", static_cast<std::uint64_t>(leader.activity),
                    static_cast<std::uint64_t>(follower.activity));
    differences.add_part("what holds off interrupts", leader.movss_shadow == follower.movss_shadow &&
                                                          leader.nmi_blocked == follower.nmi_blocked);
    return differences.text();
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
