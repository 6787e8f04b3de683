// Strata's public interface to virtual machines: describe one, create it, run it. The strata command is its
// first user; link with libstrata.
#pragma once

#include "strata/error.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strata {

struct DiskConfig {
    std::string path;
    std::string format = "auto"; // raw, qcow2, or auto: told by the file's magic
    bool read_only = false;
};

// A file handed to the kernel: the initial RAM disk, or a Multiboot module.
struct ModuleConfig {
    std::string path;
    std::string arguments{};
};

struct TraceConfig {
    bool instructions = false, exceptions = false, interrupts = false, ports = false;
    std::string file{}; // empty: standard error

    [[nodiscard]] bool any() const { return instructions || exceptions || interrupts || ports; }
};

struct MachineConfig {
    std::string name; // by which a control socket is found; empty: there is none
    std::string board = "micro";
    std::string engine = "auto";
    std::string cpu = "max";
    unsigned cpus = 1;
    std::uint64_t memory = std::uint64_t{512} << 20; // bytes

    std::string kernel;
    std::optional<std::string> command_line; // none: what suits the kernel (Linux: console=ttyS0)
    std::vector<ModuleConfig> modules;

    std::vector<DiskConfig> disks;
    bool network = true;               // user-mode network
    std::vector<std::string> forwards; // [ADDRESS:]HOST_PORT:GUEST_PORT[/udp]

    // What the consoles are wired to: stdio, none, pty, file:PATH, socket:PATH, socket:ADDRESS:PORT.
    std::string serial = "stdio";       // the first serial port
    std::string console = "none";       // the virtio console
    std::string debug_console = "none"; // ports 0xE9 and 0x402

    std::string gdb; // listen for GDB at ADDRESS:PORT or unix:PATH, and wait for it; empty: no debugger
    TraceConfig trace;
    std::string case_file; // where lockstep leaves what shows a difference again; empty: nowhere
    // What translators make of guest code is kept in this file for later machines; empty: nowhere.
    std::string translation_cache;
    // Time is counted in instructions, each of which takes so many nanoseconds, as a power of 2; one
    // processor, on the interpreter or the translator. None: time is the host's.
    std::optional<unsigned> instruction_shift;
    bool reboot = true; // a reset by the guest starts it again; false: it ends the run
};

// How a run ended, as an exit status. What a guest chooses by the debug-exit port is odd; these are even
// or 1.
enum class ExitStatus : int {
    power_off = 0,    // the guest switched itself off
    failure = 1,      // of Strata or the host
    bad_argument = 2, // nothing was started
    triple_fault = 4, // a processor shut down
    guest_reset = 6,  // the guest asked for a reset, and reboot is false
    guest_panic = 8,  // the guest reported a panic and then asked for a reset
    stopped = 130,    // stop() was called
};

struct RunResult {
    int status = 0;        // one of ExitStatus, or what the guest chose
    std::string message{}; // why, in one line, if it was not the guest's own orderly end
    std::optional<std::uint64_t> instructions{}; // executed, where they are counted
};

// A virtual machine. stop() and press_power_button() may be called from any thread, during run() too.
class Machine {
public:
    [[nodiscard]] static Result<std::unique_ptr<Machine>> create(const MachineConfig& config);

    virtual ~Machine() = default;

    // What a user has to know before the machine runs, a line each: the escape key, the name of a pty.
    [[nodiscard]] virtual std::vector<std::string> announcements() const = 0;

    // The name of the engine that runs its processors.
    [[nodiscard]] virtual std::string engine() const = 0;

    // Runs the machine until it ends. Once.
    [[nodiscard]] virtual Result<RunResult> run() = 0;

    // As if the power button were pressed: a guest with ACPI shuts down in order.
    virtual void press_power_button() = 0;
    // Ends run() now, whatever the guest does.
    virtual void stop() = 0;
};

} // namespace strata
