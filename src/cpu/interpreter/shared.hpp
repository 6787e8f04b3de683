// What the virtual processors of one machine share: memory, the clock, and the bus lock.
#pragma once

#include "base/clock.hpp"
#include "memory/guest_memory.hpp"

#include <mutex>

namespace strata::cpu::interpreter {

class Shared {
public:
    Shared(memory::GuestMemory& memory, const Clock& clock) : memory_(memory), clock_(clock) {}

    [[nodiscard]] memory::GuestMemory& memory() { return memory_; }

    [[nodiscard]] const Clock& clock() const { return clock_; }

    [[nodiscard]] std::mutex& bus_lock() { return bus_lock_; }

private:
    memory::GuestMemory& memory_;
    const Clock& clock_;
    std::mutex bus_lock_;
};

} // namespace strata::cpu::interpreter
