// What a virtual machine sees of its board: processors' buses, booting, reset, and the power button.
#pragma once

#include "backends/block/block.hpp"
#include "backends/char/char.hpp"
#include "backends/net/net.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/event_loop.hpp"
#include "cpu/assistance.hpp"
#include "cpu/engine.hpp"
#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/router.hpp"
#include "machine/loader/loader.hpp"
#include "memory/guest_memory.hpp"

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::machine {

// Held by whoever runs device code: a vCPU's access, or a callback of the event loop.
using DeviceLock = std::mutex;

// What the devices are wired to on the host.
struct Backends {
    struct Disk {
        std::string name; // for the guest: its serial number
        std::unique_ptr<backends::BlockBackend> image;
    };

    std::unique_ptr<backends::CharBackend> serial;        // null: no terminal, output is lost
    std::unique_ptr<backends::CharBackend> console;       // null: no such device
    std::unique_ptr<backends::CharBackend> debug_console; // null: output is lost
    std::unique_ptr<backends::NetBackend> network;        // null: no such device
    std::vector<Disk> disks;
};

struct PortTrace {
    cpu::TraceSink* sink = nullptr; // null: ports are not traced
};

// What a board is made with; references outlive it.
struct BoardConfig {
    const Clock& clock;
    EventLoop& loop;
    memory::GuestMemory& memory;
    devices::PowerControl& power;
    DeviceLock& lock;
    const cpu::x86::Model& model;
    unsigned cpus;
    std::uint64_t tsc_hz;
    std::int64_t boot_time; // nanoseconds since 1970 UTC at which the clock was 0
    PortTrace trace;
    bool repeats = false; // what it did: nothing of the host's shows
};

// Thread rules: the bus of a vCPU is for that vCPU's thread; connect(), reset() and boot() while all vCPUs
// are parked. All take the device lock themselves.
class Board {
public:
    virtual ~Board() = default;

    [[nodiscard]] virtual cpu::Bus& bus(unsigned vcpu) = 0;

    // What the engine of vCPUs does for the board, if not null.
    struct Assistance {
        cpu::LocalApics* local_apics = nullptr;
        cpu::WriteEvents* write_events = nullptr;
    };

    // Puts vCPUs, by number, into the processors' sockets; those that are there now still live.
    virtual void connect(std::span<cpu::Vcpu* const> vcpus, const Assistance& assistance) = 0;

    virtual void reset() = 0;
    // Writes the tables of the platform and the kernel into memory, and sets the processors as firmware
    // leaves them.
    [[nodiscard]] virtual Result<void> boot(const loader::BootRequest& request) = 0;

    virtual void press_power_button() = 0;

    [[nodiscard]] virtual devices::Router& router() = 0;
};

// One row of a board's wiring table, as `strata devices` shows it.
struct Part {
    devices::DeviceInfo info;
    std::string_view wiring; // where it is connected
};

// The boards by name.
struct BoardInfo {
    std::string_view name;
    std::string_view description;
    std::vector<Part> (*parts)();
    Result<std::unique_ptr<Board>> (*create)(const BoardConfig& config, Backends backends);
};

[[nodiscard]] std::span<const BoardInfo> boards();
[[nodiscard]] Result<const BoardInfo*> find_board(std::string_view name);

} // namespace strata::machine
