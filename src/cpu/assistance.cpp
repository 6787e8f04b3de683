#include "cpu/assistance.hpp"

#include "cpu/kvm/engine.hpp"
#include "cpu/software_vcpu.hpp"

namespace strata::cpu {
namespace {

const AssistedVcpu* assisted(const Vcpu& vcpu) { return dynamic_cast<const AssistedVcpu*>(&vcpu); }

} // namespace

void signal(Vcpu& vcpu, std::uint32_t bits) {
    vcpu.signals().set(bits);
    if (auto* assisted = dynamic_cast<AssistedVcpu*>(&vcpu)) {
        assisted->wake();
    }
}

std::optional<Error> failure(const Vcpu& vcpu) {
    if (const auto* software = dynamic_cast<const FailingVcpu*>(&vcpu)) {
        return software->failure();
    }
    const auto* each = assisted(vcpu);
    return each != nullptr ? each->failure() : std::nullopt;
}

std::string evidence(const Vcpu& vcpu) {
    const auto* software = dynamic_cast<const FailingVcpu*>(&vcpu);
    return software != nullptr ? software->evidence() : std::string();
}

std::int64_t tsc_offset(const Vcpu& vcpu) {
    const auto* each = assisted(vcpu);
    return each != nullptr ? each->tsc_offset() : vcpu.state().system.tsc_offset;
}

bool state_is_whole(const Vcpu& vcpu) {
    const auto* each = assisted(vcpu);
    return each == nullptr || each->state_is_whole();
}

std::vector<Count> exits(const Vcpu& vcpu) {
    if (const auto* software = dynamic_cast<const CountingVcpu*>(&vcpu)) {
        return software->counts();
    }
    const auto* each = assisted(vcpu);
    return each != nullptr ? each->exits() : std::vector<Count>{};
}

LocalApics* local_apics(Engine& engine) {
    auto* each = dynamic_cast<AssistedEngine*>(&engine);
    return each != nullptr ? each->local_apics() : nullptr;
}

WriteEvents* write_events(Engine& engine) {
    auto* each = dynamic_cast<AssistedEngine*>(&engine);
    return each != nullptr ? &each->write_events() : nullptr;
}

x86::LocalApicState local_apic(const Vcpu& vcpu) {
    const auto* each = assisted(vcpu);
    return each != nullptr ? each->local_apic() : x86::LocalApicState{};
}

void set_local_apic(Vcpu& vcpu, const x86::LocalApicState& state) {
    if (auto* each = dynamic_cast<AssistedVcpu*>(&vcpu)) {
        each->set_local_apic(state);
    }
}

Result<x86::Model> model_for(const Engine& engine, const VcpuConfig& config) {
    if (const auto* software = dynamic_cast<const ModellingEngine*>(&engine)) {
        return software->model_for(config);
    }
    const auto* each = dynamic_cast<const AssistedEngine*>(&engine);
    return each != nullptr ? each->model_for(config) : *config.model;
}

void clock_resumed(Engine& engine) {
    if (auto* each = dynamic_cast<AssistedEngine*>(&engine)) {
        each->clock_resumed();
    }
}

void collect_dirty(Engine& engine) {
    if (auto* each = dynamic_cast<AssistedEngine*>(&engine)) {
        each->collect_dirty();
    }
}

std::uint64_t preferred_tsc_hz() {
    constexpr std::uint64_t without_hardware = 1'000'000'000;
    const std::uint64_t host = kvm::tsc_hz();
    return host != 0 ? host : without_hardware;
}

} // namespace strata::cpu
