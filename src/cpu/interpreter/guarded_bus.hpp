// The bus as instructions reach it: while a device is at work the host's floating-point environment is its
// own, and the processor counts as being away from guest memory.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/x86/sse_environment.hpp"

#include <functional>

namespace strata::cpu::interpreter {

class Cpu;

class GuardedBus final : public Bus {
public:
    GuardedBus(Bus& bus, Cpu& cpu) : bus_(bus), cpu_(cpu) {}

    std::uint32_t read_port(std::uint16_t port, unsigned size) override {
        const Away away(cpu_);
        return bus_.read_port(port, size);
    }

    void write_port(std::uint16_t port, unsigned size, std::uint32_t value) override {
        const Away away(cpu_);
        bus_.write_port(port, size, value);
    }

    std::uint64_t read_mmio(memory::GuestPhysical address, unsigned size) override {
        const Away away(cpu_);
        return bus_.read_mmio(address, size);
    }

    void write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) override {
        const Away away(cpu_);
        bus_.write_mmio(address, size, value);
    }

    std::optional<std::uint8_t> acknowledge_interrupt() override {
        const Away away(cpu_);
        return bus_.acknowledge_interrupt();
    }

    std::optional<std::uint64_t> read_msr(std::uint32_t index) override {
        const Away away(cpu_);
        return bus_.read_msr(index);
    }

    bool write_msr(std::uint32_t index, std::uint64_t value) override {
        const Away away(cpu_);
        return bus_.write_msr(index, value);
    }

    std::uint8_t task_priority() override {
        const Away away(cpu_);
        return bus_.task_priority();
    }

    void set_task_priority(std::uint8_t priority) override {
        const Away away(cpu_);
        bus_.set_task_priority(priority);
    }

    void adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                      std::span<std::uint32_t, 4> registers) override {
        const Away away(cpu_);
        bus_.adjust_cpuid(leaf, subleaf, registers);
    }

    void floating_point_error() override {
        const Away away(cpu_);
        bus_.floating_point_error();
    }

    // While it lives, the processor is away. Defined in run.cpp.
    class Away {
    public:
        explicit Away(Cpu& cpu);
        ~Away();
        Away(const Away&) = delete;
        Away& operator=(const Away&) = delete;

    private:
        Cpu& cpu_;
        x86::HostEnvironment environment_;
    };

private:
    Bus& bus_;
    Cpu& cpu_;
};

} // namespace strata::cpu::interpreter
