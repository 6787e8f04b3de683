// A running virtual machine: its parts, its threads, and what ends or restarts it.
//
// Threads: the one that calls run() is the control loop: power events, resets, the debugger; it takes the
// device lock only for a short call and never while it waits for a vCPU. The I/O loop runs back ends and
// device timers, each callback under the device lock. Each vCPU has a thread.
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "base/file_descriptor.hpp"
#include "cpu/assistance.hpp"
#include "cpu/engine.hpp"
#include "cpu/translation_cache.hpp"
#include "machine/boards/board.hpp"
#include "memory/guest_memory.hpp"
#include "strata/machine.hpp"
#include "vm/boot_files.hpp"
#include "vm/control/requests.hpp"
#include "vm/control/server.hpp"
#include "vm/counted_time.hpp"
#include "vm/exit_history.hpp"
#include "vm/gdb/debugger.hpp"
#include "vm/trace_writer.hpp"
#include "vm/vcpu_runner.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strata::vm {

class Vm final : public Machine, private devices::PowerControl, private control::Machine {
public:
    [[nodiscard]] static Result<std::unique_ptr<Vm>> create(const MachineConfig& config);
    ~Vm() override;

    [[nodiscard]] Result<RunResult> run() override;
    void press_power_button() override;
    void stop() override;

    std::vector<std::string> announcements() const override { return announcements_; }

    std::string engine() const override { return std::string(engine_->name()); }

    // For the control loop's thread:

    // Parks all vCPUs and stops the clock; resume() takes it back.
    void pause();
    void resume();
    // Only the vCPUs of which `which` is true go on.
    void resume(const std::vector<bool>& which);

    // Resets a paused machine, which stays paused.
    [[nodiscard]] Result<void> reset_paused() { return reboot(); }

    [[nodiscard]] std::vector<std::unique_ptr<VcpuRunner>>& vcpus() { return runners_; }

    [[nodiscard]] EventLoop& control_loop() { return *control_loop_; }

    [[nodiscard]] machine::Board& board() { return *board_; }

    [[nodiscard]] memory::GuestMemory& memory() { return *memory_; }

    [[nodiscard]] const cpu::x86::Model& model() const { return model_; }

private:
    explicit Vm(const MachineConfig& config)
        : config_(config), clock_(config.instruction_shift ? Clock(0) : Clock()),
          earlier_exits_(config.cpus) {}

    Result<void> build();
    Result<void> create_loops();
    void count_time();
    Result<void> create_engine();
    // The file in which translations are kept.
    Result<void> open_translations();
    void save_translations();
    Result<void> create_board();
    Result<void> create_vcpus();
    Result<void> create_debugger();
    Result<void> create_control();

    // control::Machine
    [[nodiscard]] control::Status status() const override;
    [[nodiscard]] std::vector<ExitsByEngine> exits() const override;
    [[nodiscard]] Result<void> switch_engine(const std::string& name) override;
    [[nodiscard]] Result<void> set_paused(bool paused) override;
    [[nodiscard]] Result<void> check_switch(const std::string& name) const;
    [[nodiscard]] bool pause_with_whole_states();
    void leave_engine();
    [[nodiscard]] Result<void> enter_engine(const std::string& name);
    void replace_vcpus(std::vector<std::unique_ptr<cpu::Vcpu>> vcpus,
                       const machine::Board::Assistance& assistance);
    [[nodiscard]] machine::Board::Assistance assistance();

    // PowerControl: from devices, under the device lock.
    void power_off() override;
    void reset() override;
    void exit_with(int status) override;
    void panicked() override;

    Result<void> boot(const BootFiles& files);
    // Reads the files again, as a machine that was switched off and on would.
    Result<void> reboot();
    void restart();
    void vcpu_stopped(unsigned vcpu, cpu::Exit exit);
    void vcpu_failed(unsigned vcpu, const Error& error);
    void request_park_all();
    [[nodiscard]] cpu::VcpuConfig vcpu_config(unsigned id) const;

    void end(ExitStatus status, std::string message = {}) {
        end({static_cast<int>(status), std::move(message)});
    }

    // Any thread: ends run() with this result, unless it is ending already.
    void end(RunResult result);

    const MachineConfig config_;
    Clock clock_;
    machine::DeviceLock device_lock_;
    std::unique_ptr<EventLoop> io_loop_, control_loop_;
    std::unique_ptr<CountedTime> counted_time_; // if instructions are counted
    std::unique_ptr<memory::GuestMemory> memory_;
    cpu::x86::Model model_{}; // as the engine gives it
    std::uint64_t tsc_hz_ = 0;
    std::unique_ptr<TraceWriter> trace_;
    std::unique_ptr<cpu::TranslationCache> translations_; // if the machine has one
    FileDescriptor case_file_; // open, if the machine has one: later nothing can be opened
    std::unique_ptr<machine::Board> board_;
    std::unique_ptr<cpu::Engine> engine_;
    ExitHistory earlier_exits_;
    std::vector<std::unique_ptr<VcpuRunner>> runners_; // before what they use is destroyed, they end
    std::unique_ptr<gdb::Debugger> debugger_;          // if one was asked for
    std::unique_ptr<control::Server> control_;         // if the machine has a name
    std::vector<std::string> announcements_;
    std::atomic<bool> panicked_ = false;
    bool ending_ = false; // control loop's thread
    bool held_ = false;   // by its user; control loop's thread
    RunResult result_;    // control loop's thread
};

} // namespace strata::vm
