// How a running machine moves to another engine. The processors' states, the signals that wait at them, and
// memory are all that an engine has of a machine; the rest stays where it is.
#include "cpu/assistance.hpp"
#include "vm/config_check.hpp"
#include "vm/stand_in.hpp"
#include "vm/vm.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <thread>

namespace strata::vm {
namespace {

void hand_over_signals(cpu::Vcpu& from, cpu::Vcpu& to) {
    constexpr std::uint32_t lasting = cpu::Signals::interrupt | cpu::Signals::nmi | cpu::Signals::init |
                                      cpu::Signals::startup | cpu::Signals::smi;
    to.signals().startup_vector = from.signals().startup_vector.load();
    to.signals().set(from.signals().pending() & lasting);
}

// What `wanted` has of features beyond `given`, as --cpu leaves it out.
std::string left_out(const cpu::x86::Model& wanted, const cpu::x86::Model& given) {
    std::string text;
    for (const auto& info : cpu::x86::feature_table()) {
        if (wanted.has(info.feature) && !given.has(info.feature)) {
            text.append(",-").append(info.name);
        }
    }
    return text;
}

} // namespace

// Whether the engine can have this machine: found out with memory of its own, while this one runs.
Result<void> Vm::check_switch(const std::string& name) const {
    if (debugger_) {
        return fail("a machine with --gdb stays on its engine");
    }
    auto scratch = memory::GuestMemory::create(memory::page_size);
    if (!scratch) {
        return std::unexpected(scratch.error());
    }
    const auto engine = cpu::create_engine(name, **scratch, clock_);
    if (!engine) {
        return std::unexpected(engine.error());
    }
    const auto model = cpu::model_for(**engine, vcpu_config(0));
    if (!model) {
        return std::unexpected(model.error());
    }
    if (const std::string missing = left_out(model_, *model); !missing.empty()) {
        return fail(
            fmt::format("engine {} can't give all that the guest has seen of its processor", name),
            fmt::format("a machine that shall move there is started with --cpu {}{}", config_.cpu, missing));
    }
    return {};
}

// A processor may have accepted an interrupt that its engine has not delivered yet: then it runs on for a
// moment.
bool Vm::pause_with_whole_states() {
    constexpr int most_tries = 1000;
    for (int tries = 0; tries < most_tries; ++tries) {
        pause();
        if (std::ranges::all_of(runners_,
                                [](const auto& runner) { return cpu::state_is_whole(runner->vcpu()); })) {
            return true;
        }
        resume();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

void Vm::replace_vcpu(unsigned id, std::unique_ptr<cpu::Vcpu> vcpu) {
    std::unique_ptr<cpu::Vcpu> before;        // ends without the lock
    const std::lock_guard lock(device_lock_); // devices signal vCPUs under it
    board_->connect(id, *vcpu);
    hand_over_signals(runners_[id]->vcpu(), *vcpu);
    before = runners_[id]->replace(std::move(vcpu));
}

void Vm::leave_engine() {
    cpu::collect_dirty(*engine_);
    for (unsigned id = 0; id < runners_.size(); ++id) {
        const auto& vcpu = runners_[id]->vcpu();
        earlier_exits_.add(id, engine_->name(), cpu::exits(vcpu));
        replace_vcpu(id, std::make_unique<StandIn>(vcpu.state()));
    }
    engine_.reset();
}

Result<void> Vm::enter_engine(const std::string& name) {
    auto engine = cpu::create_engine(name, *memory_, clock_);
    if (!engine) {
        return std::unexpected(engine.error());
    }
    std::vector<std::unique_ptr<cpu::Vcpu>> vcpus;
    for (unsigned id = 0; id < runners_.size(); ++id) {
        auto vcpu = (*engine)->create_vcpu(vcpu_config(id), board_->bus(id));
        if (!vcpu) {
            return std::unexpected(vcpu.error());
        }
        (*vcpu)->set_state(runners_[id]->vcpu().state());
        if (auto error = cpu::failure(**vcpu)) {
            return std::unexpected(*error);
        }
        vcpus.push_back(std::move(*vcpu));
    }
    engine_ = std::move(*engine);
    for (unsigned id = 0; id < runners_.size(); ++id) {
        replace_vcpu(id, std::move(vcpus[id]));
    }
    return {};
}

Result<void> Vm::switch_engine(const std::string& name) {
    if (auto known = check_engine(name, false); !known) {
        return known;
    }
    const std::string before = engine();
    if (name == before) {
        return {};
    }
    if (auto checked = check_switch(name); !checked) {
        return checked;
    }
    if (!pause_with_whole_states()) {
        return fail("the guest's processors are too busy with interrupts to be moved", "try again");
    }
    leave_engine();
    auto entered = enter_engine(name);
    if (!entered && !enter_engine(before)) {
        end({static_cast<int>(ExitStatus::failure),
             "lost on the way to another engine: " + entered.error().message});
        return entered;
    }
    resume();
    return entered;
}

} // namespace strata::vm
