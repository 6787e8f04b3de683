// The seam between a device and its bus: a device declares its regions and its saved state once; the router,
// snapshots and the fuzzers walk the same declaration.
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/state_visitor.hpp"
#include "memory/guest_memory.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::devices {

enum class Space : std::uint8_t { port, memory };

// A range of ports or of guest-physical addresses that a device answers.
struct Region {
    std::string_view name;
    Space space = Space::port;
    std::uint64_t base = 0; // where it is after reset; ignored while not mapped
    std::uint64_t size = 0; // in bytes
    // Accesses of other sizes are split or widened by the router. Powers of two; `size` is a multiple of
    // min_access.
    unsigned min_access = 1, max_access = 8;
    bool mapped = true; // false: a bus maps it later (PCI base address registers)
};

// Where a device's interrupt output goes: level, true is asserted. The board wires it.
using InterruptLine = std::function<void(bool asserted)>;

// Message-signalled interrupts: the write that a device makes. SDM volume 3 section 10.11.
class MsiSink {
public:
    virtual ~MsiSink() = default;
    virtual void send_msi(std::uint64_t address, std::uint32_t data) = 0;
};

// Thread rules: every member is called with the machine's device lock held.
class Device {
public:
    virtual ~Device() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;

    // Fixed for the device's life, but for `base` and `mapped`, which the router keeps.
    [[nodiscard]] virtual std::vector<Region> regions() const = 0;

    // `region` is the index in regions(); `size` is 1, 2, 4 or 8 and within the region's limits; `offset` is
    // a multiple of it and the access ends within the region. Guest-controlled: any offset and value may
    // come.
    virtual std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) = 0;
    virtual void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) = 0;

    virtual void reset() = 0;

    // Shows every field of the guest-visible state, for saving and restoring. After a restore, visit() has
    // been called with visitor.loading(), and the device re-arms its timers and lines.
    virtual void visit(StateVisitor& visitor) = 0;
};

// One without guest-visible state.
class StatelessDevice : public Device {
public:
    void reset() final {}

    void visit(StateVisitor& /*visitor*/) final {}
};

class Router;

// Why a guest's machine ends or starts again; devices report it, the machine acts.
class PowerControl {
public:
    virtual ~PowerControl() = default;
    virtual void power_off() = 0;
    virtual void reset() = 0;
    // Ends the run with this exit status (debug-exit port).
    virtual void exit_with(int status) = 0;
    // The guest says it has panicked (pvpanic).
    virtual void panicked() = 0;
};

// What every device may use. References outlive the device.
struct Environment {
    const Clock& clock;
    EventLoop& loop;
    memory::GuestMemory& memory;
    Router& router;
    MsiSink& msi;
    PowerControl& power;
};

} // namespace strata::devices
