#include "cpu/lockstep/checked_engine.hpp"

#include "cpu/kvm/cpuid.hpp"
#include "cpu/lockstep/checked_vcpu.hpp"
#include "cpu/lockstep/memories.hpp"

namespace strata::cpu::lockstep {
namespace {

class CheckedEngine final : public Engine, public ModellingEngine {
public:
    CheckedEngine(memory::GuestMemory& memory, std::unique_ptr<memory::GuestMemory> copy,
                  std::unique_ptr<kvm::Machine> hardware, const Clock& clock)
        : memory_(memory), copy_(std::move(copy)), hardware_(std::move(hardware)), clock_(clock) {}

    [[nodiscard]] std::string_view name() const override { return "lockstep-kvm"; }

    // What both can.
    [[nodiscard]] Result<x86::Model> model_for(const VcpuConfig& config) const override {
        if (config.count > 1) {
            return fail("lockstep runs one processor", "leave --cpus out");
        }
        if (config.trace.any()) {
            return fail("lockstep does not trace", "use --engine interpreter with --trace");
        }
        return kvm::fit_model(hardware_->system(), *config.model);
    }

    Result<std::unique_ptr<Vcpu>> create_vcpu(const VcpuConfig& config, Bus& bus) override {
        hardware_->time().set_rate(config.tsc_hz);
        auto vcpu = CheckedVcpu::create(memory_, *copy_, *hardware_, clock_, config, bus);
        if (!vcpu) {
            return std::unexpected(vcpu.error());
        }
        return std::move(*vcpu);
    }

private:
    memory::GuestMemory& memory_;
    std::unique_ptr<memory::GuestMemory> copy_;
    std::unique_ptr<kvm::Machine> hardware_;
    const Clock& clock_;
};

} // namespace

Result<std::unique_ptr<Engine>> create_checked_engine(memory::GuestMemory& memory, const Clock& clock) {
    auto copy = new_copy(memory);
    if (!copy) {
        return std::unexpected(copy.error());
    }
    auto system = kvm::System::open();
    if (!system) {
        return std::unexpected(system.error());
    }
    auto hardware = kvm::Machine::create(std::move(*system), **copy, clock);
    if (!hardware) {
        return std::unexpected(hardware.error());
    }
    return std::make_unique<CheckedEngine>(memory, std::move(*copy), std::move(*hardware), clock);
}

} // namespace strata::cpu::lockstep
