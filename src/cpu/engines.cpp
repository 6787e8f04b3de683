// The engines that this build has, best first.
#include "cpu/engine.hpp"
#include "cpu/interpreter/vcpu.hpp"
#include "cpu/kvm/engine.hpp"
#include "cpu/lockstep/checked_engine.hpp"
#include "cpu/lockstep/engine.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/vcpu.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace strata::cpu {

namespace {

constexpr EngineInfo table[] = {
    {"kvm", "runs guest code on the host's processor, by Linux's KVM", kvm::unavailable, kvm::create_engine,
     false, false},
    {"translator", "runs guest code as host code, near the host's speed, without privileges",
     translator::unavailable, translator::create_engine, true, true},
    {"interpreter", "runs every instruction by itself, on any host: the reference",
     [] { return std::string(); }, interpreter::create_engine, true, false},
    {"translator-checked", "the translator, for tests: proves all code safe before it runs",
     translator::unavailable, translator::create_checked_engine, true, true},
    {"translator-eager", "likewise, and translates each block before it first runs", translator::unavailable,
     translator::create_eager_engine, true, true},
    {"lockstep", "the translator and behind it the interpreter, to find where they differ; one processor",
     translator::unavailable, lockstep::create_engine, false, true},
    {"lockstep-kvm", "the interpreter, and the host's processor that checks it in samples; one processor",
     kvm::unavailable, lockstep::create_checked_engine, false, false},
};

} // namespace

std::span<const EngineInfo> engines() { return table; }

bool translates(std::string_view name) {
    const auto found = std::ranges::find(table, name, &EngineInfo::name);
    return found != std::end(table) && found->translates;
}

Result<std::unique_ptr<Engine>> create_engine(std::string_view name, memory::GuestMemory& memory,
                                              const Clock& clock) {
    const auto found = std::ranges::find(table, name, &EngineInfo::name);
    if (found == std::end(table)) {
        return fail("no engine is called " + std::string(name), "'strata engines' lists them");
    }
    if (const std::string reason = found->unavailable(); !reason.empty()) {
        return fail("engine " + std::string(name) + " cannot run here: " + reason,
                    "'strata engines' says what each needs");
    }
    return found->create(memory, clock);
}

} // namespace strata::cpu
