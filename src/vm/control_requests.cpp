// A machine at its control socket: what it tells of itself. How it moves is in switch_engine.cpp.
#include "cpu/assistance.hpp"
#include "vm/vm.hpp"

namespace strata::vm {

Result<void> Vm::create_control() {
    if (config_.name.empty()) {
        return {};
    }
    auto server = control::Server::create(*control_loop_, config_.name, [this](std::string_view request) {
        return control::answer(*this, request);
    });
    if (!server) {
        return std::unexpected(server.error());
    }
    control_ = std::move(*server);
    return {};
}

control::Status Vm::status() const {
    return {.engine = engine(),
            .cpu = config_.cpu,
            .cpus = config_.cpus,
            .memory = config_.memory,
            .paused = held_};
}

Result<void> Vm::set_paused(bool paused) {
    if (debugger_) {
        return fail("a machine with --gdb is paused by its debugger");
    }
    if (paused != held_) {
        held_ = paused;
        paused ? pause() : resume();
    }
    return {};
}

std::vector<ExitsByEngine> Vm::exits() const {
    std::vector<ExitsByEngine> list;
    for (const auto& runner : runners_) {
        list.push_back(earlier_exits_.total(runner->id(), engine_->name(), cpu::exits(runner->vcpu())));
    }
    return list;
}

} // namespace strata::vm
