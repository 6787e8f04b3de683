// What one processor got from outside while it ran a stretch of code: enough to give another processor the
// same.
#pragma once

#include "base/clock.hpp"
#include "memory/guest_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace strata::cpu::lockstep {

// A device's write to guest memory.
struct DeviceWrite {
    memory::GuestPhysical address;
    std::vector<std::byte> bytes;
};

// A call of the Bus: what was asked, and what came of it.
struct BusCall {
    enum class Kind : std::uint8_t {
        read_port,
        write_port,
        read_mmio,
        write_mmio,
        acknowledge_interrupt,
        read_msr,
        write_msr,
        task_priority,
        set_task_priority,
        adjust_cpuid,
        floating_point_error
    };

    // By Kind.
    static constexpr std::array<std::string_view, 11> names{"read-port",
                                                            "write-port",
                                                            "read-mmio",
                                                            "write-mmio",
                                                            "acknowledge-interrupt",
                                                            "read-msr",
                                                            "write-msr",
                                                            "task-priority",
                                                            "set-task-priority",
                                                            "adjust-cpuid",
                                                            "floating-point-error"};

    Kind kind;
    unsigned size = 0;
    std::uint64_t place = 0; // port, address, MSR, leaf and subleaf
    std::uint64_t value = 0; // written

    bool answered = true; // there was a vector, or such an MSR
    std::uint64_t result = 0;
    std::array<std::uint32_t, 4> registers{}; // of CPUID, afterwards
    Nanoseconds time = 0;                     // afterwards
    std::vector<DeviceWrite> writes{};        // made by the device during the call

    [[nodiscard]] bool asks_the_same(const BusCall& other) const {
        return kind == other.kind && size == other.size && place == other.place && value == other.value;
    }
};

struct Stretch {
    std::uint32_t pending = 0; // the signals that were looked at before the first instruction
    Nanoseconds time = 0;      // at the beginning; from then on it moves with each call
    std::vector<BusCall> calls{};
};

} // namespace strata::cpu::lockstep
