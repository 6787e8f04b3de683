#include "vm/gdb/debugger.hpp"

#include "vm/vm.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace strata::vm::gdb {
namespace {

constexpr std::string_view monitor_help = "monitor help       this text\n"
                                          "monitor reset      reset the machine; it stays stopped\n"
                                          "monitor powerdown  press the power button\n"
                                          "monitor registers  the control registers of all vCPUs\n";

} // namespace

Result<std::unique_ptr<Debugger>> Debugger::create(Vm& vm, const std::string& address) {
    auto debugger = std::unique_ptr<Debugger>(new Debugger(vm));
    auto server =
        Server::create(vm.control_loop(), *debugger, address, [d = debugger.get()] { d->stop_machine(); });
    if (!server) {
        return std::unexpected(server.error());
    }
    debugger->server_ = std::move(*server);
    return debugger;
}

// ---- what GDB looks at ----

unsigned Debugger::threads() const { return static_cast<unsigned>(vm_.vcpus().size()); }

bool Debugger::long_mode_processor() const { return vm_.model().has(cpu::x86::Feature::lm); }

std::string Debugger::thread_description(unsigned thread) {
    switch (registers(thread).activity) {
    case cpu::x86::Activity::active: return fmt::format("vCPU {}", thread);
    case cpu::x86::Activity::halted: return fmt::format("vCPU {}: halted", thread);
    case cpu::x86::Activity::wait_sipi: return fmt::format("vCPU {}: waits for start-up", thread);
    case cpu::x86::Activity::shutdown: return fmt::format("vCPU {}: shut down", thread);
    }
    return {};
}

cpu::x86::State Debugger::registers(unsigned thread) { return vm_.vcpus()[thread]->vcpu().state(); }

void Debugger::set_registers(unsigned thread, const cpu::x86::State& state) {
    vm_.vcpus()[thread]->vcpu().set_state(state);
}

template <class Transfer>
std::size_t Debugger::by_pages(unsigned thread, std::uint64_t address, std::size_t size, Transfer transfer) {
    const cpu::Vcpu& vcpu = vm_.vcpus()[thread]->vcpu();
    std::size_t done = 0;
    while (done < size) {
        const std::uint64_t linear = address + done;
        const auto physical = vcpu.translate(linear);
        const std::size_t piece =
            std::min<std::size_t>(size - done, memory::page_size - linear % memory::page_size);
        if (!physical || !transfer(*physical, done, piece)) {
            break;
        }
        done += piece;
    }
    return done;
}

std::size_t Debugger::read_memory(unsigned thread, std::uint64_t address, std::span<std::byte> to) {
    return by_pages(thread, address, to.size(), [&](auto physical, std::size_t offset, std::size_t size) {
        return vm_.memory().read(physical, to.data() + offset, size);
    });
}

std::size_t Debugger::write_memory(unsigned thread, std::uint64_t address, std::span<const std::byte> from) {
    return by_pages(thread, address, from.size(), [&](auto physical, std::size_t offset, std::size_t size) {
        return vm_.memory().write(physical, from.data() + offset, size);
    });
}

// ---- running and stopping ----

void Debugger::set_stops(const cpu::DebugControl& stops) {
    stops_ = stops;
    apply_stops();
}

void Debugger::apply_stops() {
    for (const auto& runner : vm_.vcpus()) {
        runner->vcpu().set_debug(stops_);
    }
}

void Debugger::resume(std::span<const Action> actions) {
    if (!waiting_.empty()) { // a vCPU has met something already: say so before anyone moves
        vm_.control_loop().post([this] { report_next(); });
        return;
    }
    std::vector<bool> go(actions.size());
    for (unsigned thread = 0; thread < actions.size(); ++thread) {
        go[thread] = actions[thread] != Action::stay;
        cpu::DebugControl control = stops_;
        control.single_step = actions[thread] == Action::step;
        vm_.vcpus()[thread]->vcpu().set_debug(control);
    }
    stopped_ = false;
    vm_.resume(go);
}

void Debugger::interrupt() {
    stop_machine();
    report({Stop::Reason::interrupt, 0});
}

void Debugger::stop_machine() {
    if (!stopped_) {
        vm_.pause();
        stopped_ = true;
    }
}

void Debugger::vcpu_stopped(unsigned vcpu) {
    vm_.vcpus()[vcpu]->wait_parked();
    const cpu::DebugEvent event = vm_.vcpus()[vcpu]->vcpu().debug_event();
    using Kind = cpu::DebugEvent::Kind;
    const Stop stop{event.kind == Kind::watch        ? Stop::Reason::watch
                    : event.kind == Kind::breakpoint ? Stop::Reason::breakpoint
                                                     : Stop::Reason::step,
                    vcpu, event.address};
    if (stopped_) {
        waiting_.push_back(stop);
        return;
    }
    stop_machine();
    report(stop);
}

void Debugger::report(const Stop& stop) { server_->stopped(stop); }

void Debugger::report_next() {
    if (!waiting_.empty()) {
        const Stop stop = waiting_.front();
        waiting_.pop_front();
        report(stop);
    }
}

void Debugger::machine_ended(int status) { report({Stop::Reason::ended, 0, 0, status}); }

std::string Debugger::monitor(std::string_view command) {
    if (command == "reset") {
        const auto reset = vm_.reset_paused();
        apply_stops();
        return reset ? "the machine is reset\n" : reset.error().message + "\n";
    }
    if (command == "powerdown") {
        vm_.press_power_button();
        return "the power button is pressed\n";
    }
    if (command == "registers") {
        std::string text;
        for (unsigned thread = 0; thread < threads(); ++thread) {
            const auto state = registers(thread);
            text += fmt::format("vCPU {}: CR0={:x} CR2={:x} CR3={:x} CR4={:x} EFER={:x} CPL={}\n", thread,
                                state.system.cr0, state.system.cr2, state.system.cr3, state.system.cr4,
                                state.system.efer, state.system.segments[cpu::x86::ss].dpl());
        }
        return text;
    }
    return std::string(command == "help" ? "" : "there is no such command; these are:\n") +
           std::string(monitor_help);
}

void Debugger::kill() { vm_.stop(); }

void Debugger::detach() {
    stop_machine(); // a connection may break while it runs
    stops_ = {};
    apply_stops();
    waiting_.clear();
    stopped_ = false;
    vm_.resume();
}

} // namespace strata::vm::gdb
