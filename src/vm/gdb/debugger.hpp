// A machine under GDB: the target over the machine's vCPU threads, and the server that GDB connects to.
#pragma once

#include "vm/gdb/server.hpp"
#include "vm/gdb/target.hpp"

#include <deque>
#include <memory>
#include <string>

namespace strata::vm {

class Vm;

namespace gdb {

// All on the machine's control loop. The machine starts stopped, for GDB to come.
class Debugger final : private Target {
public:
    [[nodiscard]] static Result<std::unique_ptr<Debugger>> create(Vm& vm, const std::string& address);

    // Where GDB finds it.
    [[nodiscard]] const std::string& address() const { return server_->address(); }

    // A vCPU stopped with Exit::debug and is parked, or soon will be.
    void vcpu_stopped(unsigned vcpu);
    void machine_ended(int status);

private:
    explicit Debugger(Vm& vm) : vm_(vm) {}

    [[nodiscard]] unsigned threads() const override;
    [[nodiscard]] bool long_mode_processor() const override;
    [[nodiscard]] std::string thread_description(unsigned thread) override;
    [[nodiscard]] cpu::x86::State registers(unsigned thread) override;
    void set_registers(unsigned thread, const cpu::x86::State& state) override;
    std::size_t read_memory(unsigned thread, std::uint64_t address, std::span<std::byte> to) override;
    std::size_t write_memory(unsigned thread, std::uint64_t address,
                             std::span<const std::byte> from) override;
    void set_stops(const cpu::DebugControl& stops) override;
    void resume(std::span<const Action> actions) override;
    void interrupt() override;
    [[nodiscard]] std::string monitor(std::string_view command) override;
    void kill() override;
    void detach() override;

    // Calls `transfer(physical, offset, size)` for each piece of [address, address + size) that lies in one
    // page, until one is not mapped or refused; how many bytes were done.
    template <class Transfer>
    std::size_t by_pages(unsigned thread, std::uint64_t address, std::size_t size, Transfer transfer);
    void apply_stops();
    void stop_machine();
    void report(const Stop& stop);
    void report_next();

    Vm& vm_;
    std::unique_ptr<Server> server_;
    cpu::DebugControl stops_;
    std::deque<Stop> waiting_; // vCPUs that stopped while another's stop was told
    bool stopped_ = true;
};

} // namespace gdb
} // namespace strata::vm
