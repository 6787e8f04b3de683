#include "cpu/kvm/engine.hpp"

#include "cpu/assistance.hpp"
#include "cpu/kvm/cpuid.hpp"
#include "cpu/kvm/machine.hpp"
#include "cpu/kvm/vcpu.hpp"

namespace strata::cpu::kvm {
namespace {

class KvmEngine final : public Engine, public AssistedEngine {
public:
    explicit KvmEngine(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}

    [[nodiscard]] std::string_view name() const override { return "kvm"; }

    [[nodiscard]] Result<x86::Model> model_for(const VcpuConfig& config) const override {
        if (config.trace.any()) {
            return fail("the processor does not tell what it does: KVM traces ports only",
                        "use --engine interpreter with --trace");
        }
        return fit_model(machine_->system(), *config.model);
    }

    [[nodiscard]] LocalApics* local_apics() override { return &machine_->local_apics(); }

    [[nodiscard]] WriteEvents& write_events() override { return machine_->write_events(); }

    void clock_resumed() override { machine_->time().clock_resumed(); }

    void collect_dirty() override { machine_->collect_dirty(); }

    Result<std::unique_ptr<Vcpu>> create_vcpu(const VcpuConfig& config, Bus& bus) override {
        machine_->time().set_rate(config.tsc_hz);
        auto vcpu = KvmVcpu::create(*machine_, config, bus);
        if (!vcpu) {
            return std::unexpected(vcpu.error());
        }
        return std::move(*vcpu);
    }

private:
    std::unique_ptr<Machine> machine_;
};

} // namespace

Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock) {
    auto system = System::open();
    if (!system) {
        return std::unexpected(system.error());
    }
    auto machine = Machine::create(std::move(*system), memory, clock);
    if (!machine) {
        return std::unexpected(machine.error());
    }
    return std::make_unique<KvmEngine>(std::move(*machine));
}

std::string unavailable() {
    const auto system = System::open();
    const auto machine = system ? system->create_machine() : std::unexpected(system.error());
    if (machine) {
        return {};
    }
    const Error& error = machine.error();
    return error.hint.empty() ? error.message : error.message + "; " + error.hint;
}

std::uint64_t tsc_hz() {
    const auto system = System::open();
    const auto hz = system ? system->tsc_hz() : std::unexpected(system.error());
    return hz.value_or(0);
}

} // namespace strata::cpu::kvm
