// A local APIC: what a processor's interrupts go through. SDM volume 3 chapter 10 (xAPIC and x2APIC).
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/irq/apic_bus.hpp"
#include "devices/irq/apic_timer.hpp"
#include "devices/irq/external_source.hpp"
#include "devices/irq/message.hpp"
#include "devices/irq/target.hpp"
#include "devices/irq/vector_set.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace strata::devices {

// The register page is at the same address for every processor, so the router does not have it: the machine
// asks answers() of the accessing processor's local APIC first.
class LocalApic final : public Device {
public:
    static constexpr DeviceInfo info{"lapic", "Local APIC (xAPIC and x2APIC), one a processor"};
    static constexpr std::uint64_t default_base = 0xFEE0'0000;

    struct Config {
        std::uint32_t id = 0;
        bool bootstrap = false; // the boot processor: IA32_APIC_BASE.BSP
        bool x2apic = true;     // the model has x2APIC mode
        bool tsc_deadline = true;
        ApicTimer::Config timer{};
    };

    // Adds itself to the bus. `external` answers for ExtINT deliveries (null: nobody).
    LocalApic(const Environment& environment, ApicBus& bus, InterruptTarget& target, Config config,
              ExternalInterruptSource* external = nullptr);

    // The processor's side.

    // The vector that INTR delivers, taken into service; none if the request has gone.
    [[nodiscard]] std::optional<std::uint8_t> acknowledge();

    // CR8: bits 7:4 of the task priority.
    [[nodiscard]] std::uint8_t task_priority() const { return static_cast<std::uint8_t>(tpr_ >> 4); }

    void set_task_priority(std::uint8_t priority);

    // IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range 0x800 to 0x8FF. Empty or false: #GP.
    [[nodiscard]] std::optional<std::uint64_t> read_msr(std::uint32_t index);
    [[nodiscard]] bool write_msr(std::uint32_t index, std::uint64_t value);

    // Whether read_msr() and write_msr() are to be asked about this index.
    [[nodiscard]] static bool owns_msr(std::uint32_t index) {
        return index == 0x1B || index == 0x6E0 || (index >= 0x800 && index <= 0x8FF);
    }

    // Whether the register page covers this address now; then read() and write() with the offset in the page.
    [[nodiscard]] bool answers(std::uint64_t address) const {
        return xapic_mode() && (address & ~std::uint64_t{0xFFF}) == (base_ & address_mask);
    }

    // CPUID.1:EDX.APIC shows this.
    [[nodiscard]] bool enabled() const { return base_ & base_enable; }

    // The bus's side.

    [[nodiscard]] bool matches(std::uint32_t destination, bool logical) const;
    // False: it takes no interrupts now.
    bool accept(const InterruptMessage& message);

    // Can take interrupts (enabled by hardware and software).
    [[nodiscard]] bool accepts_interrupts() const { return enabled() && (spurious_ & software_enable) != 0; }

    [[nodiscard]] unsigned processor_priority() const;

    [[nodiscard]] std::uint32_t id() const { return config_.id; }

    // LINT0 (0) and LINT1 (1).
    void set_lint(unsigned pin, bool asserted);

    // All that the register page shows, by register number (offset / 16), and the MSRs beside it; the ID's
    // place is left to the reader. So the state moves to a processor with a local APIC of its own, and back.
    struct Registers {
        std::array<std::uint32_t, 0x40> page{};
        std::uint64_t base = 0;     // IA32_APIC_BASE
        std::uint64_t deadline = 0; // IA32_TSC_DEADLINE, in ticks of the machine's clock
    };

    [[nodiscard]] Registers registers();
    void set_registers(const Registers& registers);
    // While the processor has one of its own, all that is left here is the way of the 8259's interrupts.
    void set_dormant(bool dormant);

    // Device.

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    static constexpr std::uint64_t base_bootstrap = 1 << 8, base_x2apic = 1 << 10, base_enable = 1 << 11;
    static constexpr std::uint64_t address_mask = 0xF'FFFF'FFFF'F000;
    static constexpr std::uint32_t software_enable = 1 << 8;

    // The local vector table, in the order of the registers.
    enum Lvt : std::uint8_t { timer, thermal, performance, lint0, lint1, error, cmci, lvt_count };

    [[nodiscard]] bool xapic_mode() const { return (base_ & (base_enable | base_x2apic)) == base_enable; }

    [[nodiscard]] bool x2apic_mode() const { return (base_ & base_x2apic) != 0; }

    [[nodiscard]] std::uint32_t read_register(unsigned index);
    void write_register(unsigned index, std::uint32_t value);
    [[nodiscard]] bool write_base(std::uint64_t value);
    [[nodiscard]] std::uint32_t x2apic_logical_id() const;
    void initialize();
    void write_lvt(Lvt entry, std::uint32_t value);
    void write_spurious(std::uint32_t value);
    void send_ipi(std::uint32_t command, std::uint32_t destination);
    void end_of_interrupt();
    void trigger_lvt(Lvt index);
    void request(std::uint8_t vector, bool level);
    void raise_error(std::uint32_t bits);
    // The vector that may interrupt the processor now, or -1.
    [[nodiscard]] int deliverable() const;
    [[nodiscard]] bool external_pending() const;
    void update();

    ApicBus& bus_;
    InterruptTarget& target_;
    Config config_;
    ExternalInterruptSource* external_;
    ApicTimer timer_;

    std::uint64_t base_; // IA32_APIC_BASE
    std::uint32_t tpr_ = 0;
    std::uint32_t logical_ = 0, format_ = ~0U;
    std::uint32_t spurious_ = 0xFF;
    std::uint32_t error_status_ = 0, error_pending_ = 0;
    std::uint32_t command_low_ = 0, command_high_ = 0;
    std::array<std::uint32_t, lvt_count> lvt_{};
    VectorSet requests_, in_service_, level_triggered_;
    std::array<bool, 2> lint_{};
    bool external_latched_ = false; // an ExtINT message waits for acknowledge
    bool asserted_ = false;         // what the processor was told
    bool dormant_ = false;
};

} // namespace strata::devices
