// What a debugger may do to a machine: the seam between GDB's protocol and the machine's threads.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/x86/state.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::vm::gdb {

// Threads are vCPUs, numbered from 0. All members but interrupt() are called while the machine is stopped.
class Target {
public:
    enum class Action : std::uint8_t { stay, run, step };

    virtual ~Target() = default;

    [[nodiscard]] virtual unsigned threads() const = 0;
    [[nodiscard]] virtual bool long_mode_processor() const = 0;
    [[nodiscard]] virtual std::string thread_description(unsigned thread) = 0;
    [[nodiscard]] virtual cpu::x86::State registers(unsigned thread) = 0;
    virtual void set_registers(unsigned thread, const cpu::x86::State& state) = 0;

    // By linear address with the thread's paging; how many bytes from the start could be accessed.
    virtual std::size_t read_memory(unsigned thread, std::uint64_t address, std::span<std::byte> to) = 0;
    virtual std::size_t write_memory(unsigned thread, std::uint64_t address,
                                     std::span<const std::byte> from) = 0;

    // What stops every thread from the next resume() on; `single_step` is ignored.
    virtual void set_stops(const cpu::DebugControl& stops) = 0;

    // Lets the threads go, each by its action; a later stop is told to the session.
    virtual void resume(std::span<const Action> actions) = 0;
    // Stops the running machine.
    virtual void interrupt() = 0;

    // GDB's `monitor` commands: what to print.
    [[nodiscard]] virtual std::string monitor(std::string_view command) = 0;
    // Ends the machine; lets it run on without a debugger.
    virtual void kill() = 0;
    virtual void detach() = 0;
};

// Why the machine stopped.
struct Stop {
    enum class Reason : std::uint8_t { interrupt, step, breakpoint, watch, ended } reason = Reason::interrupt;
    unsigned thread = 0;
    std::uint64_t address = 0; // of a watched access
    int exit_status = 0;       // when the machine ended
};

} // namespace strata::vm::gdb
