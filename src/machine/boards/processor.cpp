#include "machine/boards/processor.hpp"

#include "cpu/assistance.hpp"

#include <fmt/format.h>

namespace strata::machine {

using cpu::Signals;
using cpu::x86::Feature;
using Lock = std::lock_guard<DeviceLock>;

namespace {

constexpr std::uint64_t apic_page_mask = 0xFFF;

std::uint64_t all_ones(unsigned size) { return ~std::uint64_t{0} >> (64 - 8 * size); }

} // namespace

Processor::Processor(const Shared& shared, unsigned id)
    : config_(shared.config), router_(shared.environment.router),
      floating_point_error_(shared.floating_point_error), id_(id),
      apic_(shared.environment, shared.apic_bus, *this, apic_config(), id == 0 ? shared.external : nullptr) {
    if (config_.model.has(Feature::hypervisor) && config_.model.has(Feature::tsc)) {
        kvm_clock_.emplace(config_.memory, paravirt::KvmClock::Config{
                                               .tsc_hz = config_.tsc_hz,
                                               .tsc_offset = [this] { return cpu::tsc_offset(*vcpu_); },
                                               .boot_time = shared.boot_time});
    }
}

devices::LocalApic::Config Processor::apic_config() const {
    return {.id = id_,
            .bootstrap = id_ == 0,
            .x2apic = config_.model.has(Feature::x2apic),
            .tsc_deadline = config_.model.has(Feature::tsc_deadline_timer),
            .timer = {.tsc_hz = config_.tsc_hz}};
}

void Processor::connect(cpu::Vcpu& vcpu) {
    if (vcpu_ != nullptr) {
        constexpr std::uint32_t lasting =
            Signals::interrupt | Signals::nmi | Signals::init | Signals::startup | Signals::smi;
        Signals& before = vcpu_->signals();
        vcpu.signals().startup_vector = before.startup_vector.load();
        vcpu.signals().set(before.pending() & lasting);
    }
    vcpu_ = &vcpu;
}

// The deadline is compared with the guest's counter there, here with the machine's clock.
void Processor::give_local_apic() {
    const auto from = apic_.registers();
    const auto offset = static_cast<std::uint64_t>(vcpu_->state().system.tsc_offset);
    cpu::set_local_apic(*vcpu_, {.registers = from.page,
                                 .base = from.base,
                                 .tsc_deadline = from.deadline == 0 ? 0 : from.deadline + offset});
    apic_.set_dormant(true);
}

void Processor::take_local_apic() {
    const auto from = cpu::local_apic(*vcpu_);
    const auto offset = static_cast<std::uint64_t>(vcpu_->state().system.tsc_offset);
    apic_.set_dormant(false);
    apic_.set_registers({.page = from.registers,
                         .base = from.base,
                         .deadline = from.tsc_deadline == 0 ? 0 : from.tsc_deadline - offset});
}

void Processor::reset() {
    vcpu_->signals().clear(Signals::interrupt | Signals::nmi | Signals::init | Signals::startup |
                           Signals::smi);
    apic_.reset();
    if (kvm_clock_) {
        kvm_clock_->reset();
    }
}

// ---- the bus ----

void Processor::trace_port(const char* verb, std::uint16_t port, unsigned size, std::uint32_t value) const {
    if (config_.trace.sink != nullptr) {
        config_.trace.sink->trace(
            id_, fmt::format("{:<5} port {:#06x} size {} value {:#x}", verb, port, size, value));
    }
}

std::uint32_t Processor::read_port(std::uint16_t port, unsigned size) {
    const Lock lock(config_.lock);
    const auto value = static_cast<std::uint32_t>(router_.read(devices::Space::port, port, size));
    trace_port("read", port, size, value);
    return value;
}

void Processor::write_port(std::uint16_t port, unsigned size, std::uint32_t value) {
    const Lock lock(config_.lock);
    trace_port("write", port, size, value);
    router_.write(devices::Space::port, port, size, value);
}

// The registers are 32 bits wide; parts of one may be read (SDM volume 3 section 10.4.1 forbids it,
// processors allow it).
std::uint64_t Processor::read_apic(std::uint64_t offset, unsigned size) {
    const std::uint64_t value = apic_.read(0, offset & ~std::uint64_t{3}, 4) >> (8 * (offset & 3));
    return value & all_ones(size);
}

std::uint64_t Processor::read_mmio(memory::GuestPhysical address, unsigned size) {
    const Lock lock(config_.lock);
    if (apic_.answers(address)) {
        return read_apic(address & apic_page_mask, size);
    }
    return router_.read(devices::Space::memory, address, size);
}

void Processor::write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) {
    const Lock lock(config_.lock);
    if (!apic_.answers(address)) {
        router_.write(devices::Space::memory, address, size, value);
    } else if (size == 4 && address % 4 == 0) {
        apic_.write(0, address & apic_page_mask, 4, value);
    }
}

std::optional<std::uint8_t> Processor::acknowledge_interrupt() {
    const Lock lock(config_.lock);
    return apic_.acknowledge();
}

std::optional<std::uint64_t> Processor::read_msr(std::uint32_t index) {
    const Lock lock(config_.lock);
    if (devices::LocalApic::owns_msr(index)) {
        return config_.model.has(Feature::apic) ? apic_.read_msr(index) : std::nullopt;
    }
    return kvm_clock_ ? kvm_clock_->read_msr(index) : std::nullopt;
}

bool Processor::write_msr(std::uint32_t index, std::uint64_t value) {
    const Lock lock(config_.lock);
    if (devices::LocalApic::owns_msr(index)) {
        return config_.model.has(Feature::apic) && apic_.write_msr(index, value);
    }
    return kvm_clock_ && kvm_clock_->write_msr(index, value);
}

std::uint8_t Processor::task_priority() {
    const Lock lock(config_.lock);
    return apic_.task_priority();
}

void Processor::set_task_priority(std::uint8_t priority) {
    const Lock lock(config_.lock);
    apic_.set_task_priority(priority);
}

void Processor::adjust_cpuid(std::uint32_t leaf, std::uint32_t /*subleaf*/,
                             std::span<std::uint32_t, 4> registers) {
    constexpr std::uint32_t apic_bit = 1 << 9; // CPUID.1:EDX
    if (leaf == 1) {
        const Lock lock(config_.lock);
        if (!apic_.enabled()) {
            registers[3] &= ~apic_bit;
        }
    }
    if (kvm_clock_) {
        paravirt::KvmClock::adjust_cpuid(leaf, registers);
    }
}

void Processor::floating_point_error() {
    const Lock lock(config_.lock);
    floating_point_error_();
}

// ---- interrupt inputs ----

void Processor::set_interrupt(bool asserted) {
    if (vcpu_ == nullptr) {
        return; // while the board is being built
    }
    if (asserted) {
        cpu::signal(*vcpu_, Signals::interrupt);
    } else {
        vcpu_->signals().clear(Signals::interrupt);
    }
}

void Processor::nmi() { cpu::signal(*vcpu_, Signals::nmi); }

void Processor::smi() { cpu::signal(*vcpu_, Signals::smi); }

void Processor::init() { cpu::signal(*vcpu_, Signals::init); }

void Processor::startup(std::uint8_t vector) {
    vcpu_->signals().startup_vector = vector;
    cpu::signal(*vcpu_, Signals::startup);
}

} // namespace strata::machine
