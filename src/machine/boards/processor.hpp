// One processor's socket: its interrupt inputs, its local APIC and paravirtual clock, and its way to the bus.
#pragma once

#include "cpu/engine.hpp"
#include "devices/irq/local_apic.hpp"
#include "devices/irq/target.hpp"
#include "devices/router.hpp"
#include "machine/boards/board.hpp"
#include "paravirt/kvm_clock.hpp"

#include <functional>
#include <optional>

namespace strata::machine {

class Processor final : public cpu::Bus, private devices::InterruptTarget {
public:
    // What all processors of a board share.
    struct Shared {
        const BoardConfig& config;
        const devices::Environment& environment;
        devices::ApicBus& apic_bus;
        devices::ExternalInterruptSource* external; // the 8259 pair
        std::function<void()> floating_point_error; // FERR#
        std::int64_t boot_time;                     // nanoseconds since 1970 when the clock was 0
    };

    Processor(const Shared& shared, unsigned id);

    // The signals that wait at the vCPU that was here go to this one.
    void connect(cpu::Vcpu& vcpu);

    // The state of the local APIC moves to the vCPU's own, or back from there.
    void give_local_apic();
    void take_local_apic();

    [[nodiscard]] cpu::Vcpu& vcpu() { return *vcpu_; }

    [[nodiscard]] devices::LocalApic& local_apic() { return apic_; }

    // Under the device lock.
    void reset();

    // cpu::Bus: each takes the device lock.
    std::uint32_t read_port(std::uint16_t port, unsigned size) override;
    void write_port(std::uint16_t port, unsigned size, std::uint32_t value) override;
    std::uint64_t read_mmio(memory::GuestPhysical address, unsigned size) override;
    void write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) override;
    std::optional<std::uint8_t> acknowledge_interrupt() override;
    std::optional<std::uint64_t> read_msr(std::uint32_t index) override;
    bool write_msr(std::uint32_t index, std::uint64_t value) override;
    std::uint8_t task_priority() override;
    void set_task_priority(std::uint8_t priority) override;
    void adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                      std::span<std::uint32_t, 4> registers) override;
    void floating_point_error() override;

private:
    // devices::InterruptTarget
    void set_interrupt(bool asserted) override;
    void nmi() override;
    void smi() override;
    void init() override;
    void startup(std::uint8_t vector) override;

    [[nodiscard]] devices::LocalApic::Config apic_config() const;
    [[nodiscard]] std::uint64_t read_apic(std::uint64_t offset, unsigned size);
    void trace_port(const char* verb, std::uint16_t port, unsigned size, std::uint32_t value) const;

    const BoardConfig& config_;
    devices::Router& router_;
    std::function<void()> floating_point_error_;
    unsigned id_;
    cpu::Vcpu* vcpu_ = nullptr;
    devices::LocalApic apic_;
    std::optional<paravirt::KvmClock> kvm_clock_; // if the model tells that there is a hypervisor
};

} // namespace strata::machine
