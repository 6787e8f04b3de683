// The bus of the processor that follows: it answers what the leading one was answered, and carries nothing
// out.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/lockstep/stretch.hpp"

#include <string>

namespace strata::cpu::lockstep {

// Thrown through the processor that asked for something that the leading one had not asked for.
struct OtherCall {
    std::string what;
};

class Replayer : public Bus {
public:
    // `time` is what the processor sees, `memory` what devices write to.
    Replayer(memory::GuestMemory& memory, Clock& time) : memory_(memory), time_(time) {}

    void begin(const Stretch& stretch);

    // Whether all was asked.
    [[nodiscard]] bool finished() const { return next_ == stretch_->calls.size(); }

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
    const BusCall& answer(const BusCall& asked);

    memory::GuestMemory& memory_;
    Clock& time_;
    const Stretch* stretch_ = nullptr;
    std::size_t next_ = 0;
};

} // namespace strata::cpu::lockstep
