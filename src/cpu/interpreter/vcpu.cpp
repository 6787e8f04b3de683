#include "cpu/interpreter/vcpu.hpp"

#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"

namespace strata::cpu::interpreter {

namespace {

class InterpreterVcpu final : public Vcpu {
public:
    InterpreterVcpu(Shared& shared, const VcpuConfig& config, Bus& bus) : cpu_(shared, config, bus) {}

    Exit run() override { return cpu_.run(); }

    [[nodiscard]] Signals& signals() override { return cpu_.signals(); }

    [[nodiscard]] x86::State state() const override { return cpu_.state(); }

    void set_state(const x86::State& state) override { cpu_.set_state(state); }

    void reset() override { cpu_.reset(); }

    void set_debug(const DebugControl& control) override { cpu_.set_debug(control); }

    [[nodiscard]] DebugEvent debug_event() const override { return cpu_.debug_event(); }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const override {
        return cpu_.translate(linear);
    }

    [[nodiscard]] std::uint64_t instructions_retired() const override { return cpu_.retired(); }

private:
    Cpu cpu_;
};

class InterpreterEngine final : public Engine {
public:
    InterpreterEngine(memory::GuestMemory& memory, const Clock& clock) : shared_(memory, clock) {}

    [[nodiscard]] std::string_view name() const override { return "interpreter"; }

    Result<std::unique_ptr<Vcpu>> create_vcpu(const VcpuConfig& config, Bus& bus) override {
        return std::make_unique<InterpreterVcpu>(shared_, config, bus);
    }

private:
    Shared shared_;
};

} // namespace

Result<std::unique_ptr<Engine>> create_engine(memory::GuestMemory& memory, const Clock& clock) {
    return std::make_unique<InterpreterEngine>(memory, clock);
}

} // namespace strata::cpu::interpreter
