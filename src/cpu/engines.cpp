// The engines that this build has, best first.
#include "cpu/engine.hpp"
#include "cpu/interpreter/vcpu.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/vcpu.hpp"

#include <string>

namespace strata::cpu {

namespace {

constexpr EngineInfo table[] = {
    {"interpreter", "runs every instruction by itself, on any host: the reference",
     [] { return std::string(); }, interpreter::create_engine},
    {"translator", "runs guest code as host code, near the host's speed, without privileges",
     translator::unavailable, translator::create_engine},
    {"translator-eager", "the translator, for tests: translates each block before it first runs",
     translator::unavailable, translator::create_eager_engine},
};

} // namespace

std::span<const EngineInfo> engines() { return table; }

Result<std::unique_ptr<Engine>> create_engine(std::string_view name, memory::GuestMemory& memory,
                                              const Clock& clock) {
    std::string reasons;
    for (const EngineInfo& engine : table) {
        if (name != "auto" && name != engine.name) {
            continue;
        }
        const std::string reason = engine.unavailable();
        if (reason.empty()) {
            return engine.create(memory, clock);
        }
        reasons.append(reasons.empty() ? "" : "; ").append(engine.name).append(": ").append(reason);
    }
    if (reasons.empty()) {
        return fail("no engine is called " + std::string(name), "'strata engines' lists them");
    }
    return fail("engine not available: " + reasons, "'strata engines' says what each needs");
}

} // namespace strata::cpu
