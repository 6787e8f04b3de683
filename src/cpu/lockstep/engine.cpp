#include "cpu/lockstep/engine.hpp"

#include "cpu/lockstep/vcpu.hpp"
#include "cpu/software_vcpu.hpp"
#include "cpu/x86/model_changes.hpp"

namespace strata::cpu::lockstep {
namespace {

class LockstepEngine final : public Engine, public ModellingEngine {
public:
    LockstepEngine(memory::GuestMemory& memory, Copies copies, const Clock& clock)
        : memory_(memory), copies_(std::move(copies)), clock_(clock) {}

    [[nodiscard]] std::string_view name() const override { return "lockstep"; }

    // Without what never gives the same twice.
    [[nodiscard]] Result<x86::Model> model_for(const VcpuConfig& config) const override {
        if (config.count > 1) {
            return fail("lockstep runs one processor", "leave --cpus out");
        }
        x86::Model model = *config.model;
        for (const auto feature : {x86::Feature::rdrand, x86::Feature::rdseed}) {
            model.features = x86::without(model.features, feature);
        }
        return model;
    }

    Result<std::unique_ptr<Vcpu>> create_vcpu(const VcpuConfig& config, Bus& bus) override {
        return LockstepVcpu::create(memory_, copies_, clock_, config, bus);
    }

private:
    memory::GuestMemory& memory_;
    Copies copies_;
    const Clock& clock_;
};

} // namespace

Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock) {
    auto copies = Copies::of(memory);
    if (!copies) {
        return std::unexpected(copies.error());
    }
    return std::make_unique<LockstepEngine>(memory, std::move(*copies), clock);
}

} // namespace strata::cpu::lockstep
