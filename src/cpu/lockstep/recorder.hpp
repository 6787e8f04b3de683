// The machine's bus, with what it answers written down.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/lockstep/device_writes.hpp"
#include "cpu/lockstep/stretch.hpp"

namespace strata::cpu::lockstep {

class Recorder final : public Bus {
public:
    // `machine_time` is what time really is, `time` what the processor sees of it.
    Recorder(Bus& bus, DeviceWrites& writes, const Clock& machine_time, Clock& time)
        : bus_(bus), writes_(writes), machine_time_(machine_time), time_(time) {}

    // Calls go into `stretch` from now on.
    void begin(Stretch& stretch) { stretch_ = &stretch; }

    // What time is now, for the processor too.
    Nanoseconds look_at_time();

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
    template <class Ask>
    void record(BusCall call, Ask ask);

    Bus& bus_;
    DeviceWrites& writes_;
    const Clock& machine_time_;
    Clock& time_;
    Stretch* stretch_ = nullptr;
};

} // namespace strata::cpu::lockstep
