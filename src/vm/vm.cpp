#include "vm/vm.hpp"

#include "base/atomic_file.hpp"
#include "base/open_file.hpp"
#include "cpu/assistance.hpp"
#include "cpu/x86/model_changes.hpp"
#include "vm/backends.hpp"
#include "vm/config_check.hpp"
#include "vm/engine_choice.hpp"

#include <chrono>
#include <fmt/format.h>
#include <thread>

namespace strata {

Result<std::unique_ptr<Machine>> Machine::create(const MachineConfig& config) {
    return vm::Vm::create(config);
}

} // namespace strata

namespace strata::vm {
namespace {

cpu::TraceOptions engine_trace(const TraceConfig& trace) {
    return {
        .instructions = trace.instructions, .exceptions = trace.exceptions, .interrupts = trace.interrupts};
}

// When a machine that repeats what it did is switched on: 2000-01-01, in nanoseconds since 1970 UTC.
constexpr std::int64_t first_date = 946'684'800'000'000'000;

// Without what never gives the same twice.
cpu::x86::FeatureSet without_chance(const cpu::x86::FeatureSet& features) {
    return cpu::x86::without(cpu::x86::without(features, cpu::x86::Feature::rdrand),
                             cpu::x86::Feature::rdseed);
}

// The date at which the clock was 0, in nanoseconds since 1970 UTC.
std::int64_t boot_time(const Clock& clock) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - clock.now();
}

} // namespace

Result<std::unique_ptr<Vm>> Vm::create(const MachineConfig& config) {
    if (auto checked = check_config(config); !checked) {
        return std::unexpected(checked.error());
    }
    auto vm = std::unique_ptr<Vm>(new Vm(config));
    if (auto built = vm->build(); !built) {
        return std::unexpected(built.error());
    }
    return vm;
}

Vm::~Vm() = default;

Result<void> Vm::build() {
    const auto files = BootFiles::read(config_); // first: nothing has been written to yet
    if (!files) {
        return std::unexpected(files.error());
    }
    if (auto created = create_loops(); !created) {
        return created;
    }
    if (auto created = create_engine(); !created) {
        return created;
    }
    if (auto created = create_board(); !created) {
        return created;
    }
    if (auto created = create_vcpus(); !created) {
        return created;
    }
    if (auto booted = boot(*files); !booted) {
        return booted;
    }
    if (auto created = create_control(); !created) {
        return created;
    }
    return create_debugger();
}

Result<void> Vm::create_loops() {
    auto io_loop = EventLoop::create(clock_);
    auto control_loop = EventLoop::create(clock_);
    if (!io_loop || !control_loop) {
        return std::unexpected(!io_loop ? io_loop.error() : control_loop.error());
    }
    io_loop_ = std::move(*io_loop);
    control_loop_ = std::move(*control_loop);
    io_loop_->set_guard([this](const EventLoop::Callback& callback) {
        const std::lock_guard lock(device_lock_);
        callback();
    });
    if (config_.instruction_shift) {
        count_time();
    }
    return {};
}

// Whoever else arms a timer wakes the processor, which may be waiting for nothing in particular.
void Vm::count_time() {
    counted_time_ = std::make_unique<CountedTime>(clock_, *io_loop_, *config_.instruction_shift);
    io_loop_->leave_timers([this] {
        if (!runners_.empty() && !runners_.front()->on_own_thread()) {
            runners_.front()->vcpu().signals().set(cpu::Signals::engine);
        }
    });
}

Result<void> Vm::create_engine() {
    auto memory = memory::GuestMemory::create(config_.memory);
    if (!memory) {
        return std::unexpected(memory.error());
    }
    memory_ = std::move(*memory);
    if (config_.trace.any()) {
        auto trace = TraceWriter::open(config_.trace.file);
        if (!trace) {
            return std::unexpected(trace.error());
        }
        trace_ = std::move(*trace);
    }
    if (!config_.case_file.empty()) {
        auto file = open_to_write(config_.case_file, "case file");
        if (!file) {
            return std::unexpected(file.error());
        }
        case_file_ = std::move(*file);
    }
    if (auto opened = open_translations(); !opened) {
        return opened;
    }
    auto model = cpu::x86::parse_model(config_.cpu);
    if (!model) {
        return std::unexpected(model.error());
    }
    model_ = *model;
    if (config_.instruction_shift) {
        model_.features = without_chance(model_.features);
    }
    tsc_hz_ = cpu::preferred_tsc_hz();
    auto choice = choose_engine(config_.engine, *memory_, clock_, vcpu_config(0));
    if (!choice) {
        return std::unexpected(choice.error());
    }
    engine_ = std::move(choice->engine);
    model_ = choice->model;
    if (!choice->passed_over.empty()) {
        announcements_.push_back(choice->passed_over);
    }
    if (translations_ && !cpu::translates(engine_->name())) {
        announcements_.push_back(
            fmt::format("engine {} translates nothing that --translation-cache could keep", engine_->name()));
    }
    return {};
}

Result<void> Vm::create_board() {
    const auto info = machine::find_board(config_.board);
    auto backends = create_backends(config_, *io_loop_, [this] { stop(); });
    if (!info || !backends) {
        return std::unexpected(!info ? info.error() : backends.error());
    }
    for (const auto* console : {&backends->serial, &backends->console, &backends->debug_console}) {
        if (*console != nullptr && !(*console)->announcement().empty()) {
            announcements_.push_back((*console)->announcement());
        }
    }
    const machine::BoardConfig board_config{.clock = clock_,
                                            .loop = *io_loop_,
                                            .memory = *memory_,
                                            .power = *this,
                                            .lock = device_lock_,
                                            .model = model_,
                                            .cpus = config_.cpus,
                                            .tsc_hz = tsc_hz_,
                                            .boot_time = counted_time_ ? first_date : boot_time(clock_),
                                            .trace = {config_.trace.ports ? trace_.get() : nullptr},
                                            .repeats = counted_time_ != nullptr};
    auto board = (*info)->create(board_config, std::move(*backends));
    if (!board) {
        return std::unexpected(board.error());
    }
    board_ = std::move(*board);
    return {};
}

cpu::VcpuConfig Vm::vcpu_config(unsigned id) const {
    return {.id = id,
            .count = config_.cpus,
            .model = &model_,
            .tsc_hz = tsc_hz_,
            .trace = engine_trace(config_.trace),
            .trace_sink = trace_.get(),
            .time = counted_time_.get(),
            .translations = translations_.get()};
}

Result<void> Vm::create_vcpus() {
    std::vector<cpu::Vcpu*> vcpus;
    for (unsigned id = 0; id < config_.cpus; ++id) {
        auto vcpu = engine_->create_vcpu(vcpu_config(id), board_->bus(id));
        if (!vcpu) {
            return std::unexpected(vcpu.error());
        }
        runners_.push_back(std::make_unique<VcpuRunner>(
            id, std::move(*vcpu), [this](unsigned which, cpu::Exit exit) { vcpu_stopped(which, exit); },
            counted_time_.get()));
        vcpus.push_back(&runners_.back()->vcpu());
    }
    board_->connect(vcpus, assistance());
    return {};
}

machine::Board::Assistance Vm::assistance() {
    return {.local_apics = cpu::local_apics(*engine_), .write_events = cpu::write_events(*engine_)};
}

Result<void> Vm::reboot() {
    const auto files = BootFiles::read(config_);
    return files ? boot(*files) : std::unexpected(files.error());
}

Result<void> Vm::boot(const BootFiles& files) {
    for (const auto& runner : runners_) {
        runner->vcpu().reset();
    }
    board_->reset();
    return board_->boot(files.request());
}

void Vm::pause() {
    request_park_all();
    for (const auto& runner : runners_) {
        runner->wait_parked();
    }
    clock_.pause();
}

void Vm::resume() { resume(std::vector<bool>(runners_.size(), true)); }

void Vm::resume(const std::vector<bool>& which) {
    clock_.resume();
    cpu::clock_resumed(*engine_);
    io_loop_->clock_changed();
    for (const auto& runner : runners_) {
        if (which[runner->id()]) {
            runner->resume();
        }
    }
}

Result<void> Vm::create_debugger() {
    if (config_.gdb.empty()) {
        return {};
    }
    auto debugger = gdb::Debugger::create(*this, config_.gdb);
    if (!debugger) {
        return std::unexpected(debugger.error());
    }
    debugger_ = std::move(*debugger);
    announcements_.push_back("waiting for GDB: target remote " + debugger_->address());
    return {};
}

Result<RunResult> Vm::run() {
    std::thread io_thread([this] { io_loop_->run(); });
    if (debugger_) {
        clock_.pause(); // the machine starts when GDB lets it
    } else {
        resume();
    }
    control_loop_->run();
    pause();
    io_loop_->stop();
    io_thread.join();
    save_translations();
    if (counted_time_) {
        result_.instructions = runners_.front()->vcpu().instructions_retired();
    }
    return result_;
}

void Vm::request_park_all() {
    for (const auto& runner : runners_) {
        runner->request_park();
    }
}

void Vm::end(RunResult result) {
    control_loop_->post([this, result = std::move(result)] {
        if (!ending_) {
            ending_ = true;
            result_ = result;
            if (debugger_) {
                debugger_->machine_ended(result_.status);
            }
            control_loop_->stop();
        }
    });
}

void Vm::press_power_button() {
    io_loop_->post([this] { board_->press_power_button(); });
}

void Vm::stop() { end(ExitStatus::stopped); }

void Vm::power_off() {
    request_park_all(); // so that no instruction behind the power-off matters
    end(ExitStatus::power_off);
}

void Vm::exit_with(int status) {
    request_park_all();
    end({status, {}});
}

void Vm::panicked() { panicked_ = true; }

void Vm::reset() {
    request_park_all();
    control_loop_->post([this] { restart(); });
}

void Vm::restart() {
    if (ending_) {
        return;
    }
    if (panicked_) {
        end(ExitStatus::guest_panic, "the guest panicked and asked for a reset");
    } else if (!config_.reboot) {
        end(ExitStatus::guest_reset, "the guest asked for a reset");
    } else {
        pause();
        if (auto booted = reboot(); !booted) {
            end(ExitStatus::failure, booted.error().message);
            return;
        }
        if (!held_) {
            resume();
        }
    }
}

void Vm::vcpu_stopped(unsigned vcpu, cpu::Exit exit) {
    if (exit == cpu::Exit::debug) {
        control_loop_->post([this, vcpu] {
            if (debugger_) {
                debugger_->vcpu_stopped(vcpu);
            }
        });
    } else if (exit == cpu::Exit::shutdown) {
        control_loop_->post([this, vcpu] {
            runners_[vcpu]->wait_parked();
            if (const auto error = cpu::failure(runners_[vcpu]->vcpu())) {
                vcpu_failed(vcpu, *error);
                return;
            }
            const auto state = runners_[vcpu]->vcpu().state();
            end(ExitStatus::triple_fault,
                fmt::format(
                    "triple fault on vCPU {} at {:#06x}:{:#x}: the guest could not handle an exception", vcpu,
                    state.system.segments[cpu::x86::cs].selector, state.rip));
        });
    }
}

void Vm::vcpu_failed(unsigned vcpu, const Error& error) {
    std::string message =
        fmt::format("vCPU {}: {}{}{}", vcpu, error.message, error.hint.empty() ? "" : "; ", error.hint);
    if (const std::string evidence = cpu::evidence(runners_[vcpu]->vcpu()); !evidence.empty()) {
        if (!case_file_) {
            message += "with --case FILE, it is left for strata debug reduce";
        } else if (auto written = write_all(case_file_.get(), evidence, config_.case_file); !written) {
            message += written.error().message;
        } else {
            message += fmt::format("'strata debug reduce {}' cuts it down", config_.case_file);
        }
    }
    end(ExitStatus::failure, std::move(message));
}

} // namespace strata::vm
