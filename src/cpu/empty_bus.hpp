// A bus to which nothing is connected: reads give ones, writes are lost, as on a board without devices. For
// code that reaches no device, or is only looked at.
#pragma once

#include "cpu/engine.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace strata::cpu {

class EmptyBus : public Bus {
public:
    std::uint32_t read_port(std::uint16_t, unsigned) override { return ~0U; }

    void write_port(std::uint16_t, unsigned, std::uint32_t) override {}

    std::uint64_t read_mmio(memory::GuestPhysical, unsigned) override { return ~std::uint64_t{0}; }

    void write_mmio(memory::GuestPhysical, unsigned, std::uint64_t) override {}

    std::optional<std::uint8_t> acknowledge_interrupt() override { return std::nullopt; }

    std::optional<std::uint64_t> read_msr(std::uint32_t) override { return std::nullopt; }

    bool write_msr(std::uint32_t, std::uint64_t) override { return false; }

    std::uint8_t task_priority() override { return 0; }

    void set_task_priority(std::uint8_t) override {}

    void adjust_cpuid(std::uint32_t, std::uint32_t, std::span<std::uint32_t, 4>) override {}

    void floating_point_error() override {}
};

} // namespace strata::cpu
