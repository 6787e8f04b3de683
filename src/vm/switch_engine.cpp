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
    if (counted_time_) {
        return fail("a machine with --icount stays on its engine");
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

void Vm::replace_vcpus(std::vector<std::unique_ptr<cpu::Vcpu>> vcpus,
                       const machine::Board::Assistance& assistance) {
    std::vector<cpu::Vcpu*> targets;
    for (const auto& vcpu : vcpus) {
        targets.push_back(vcpu.get());
    }
    board_->connect(targets, assistance);
    for (const auto& runner : runners_) {
        static_cast<void>(runner->replace(std::move(vcpus[runner->id()])));
    }
}

void Vm::leave_engine() {
    cpu::collect_dirty(*engine_);
    std::vector<std::unique_ptr<cpu::Vcpu>> stand_ins;
    for (const auto& runner : runners_) {
        const auto& vcpu = runner->vcpu();
        earlier_exits_.add(runner->id(), engine_->name(), cpu::exits(vcpu));
        stand_ins.push_back(std::make_unique<StandIn>(vcpu.state()));
    }
    replace_vcpus(std::move(stand_ins), {});
    engine_.reset();
}

Result<void> Vm::enter_engine(const std::string& name) {
    auto engine = cpu::create_engine(name, *memory_, clock_);
    if (!engine) {
        return std::unexpected(engine.error());
    }
    std::vector<std::unique_ptr<cpu::Vcpu>> vcpus;
    for (const auto& runner : runners_) {
        auto vcpu = (*engine)->create_vcpu(vcpu_config(runner->id()), board_->bus(runner->id()));
        if (!vcpu) {
            return std::unexpected(vcpu.error());
        }
        (*vcpu)->set_state(runner->vcpu().state());
        if (auto error = cpu::failure(**vcpu)) {
            return std::unexpected(*error);
        }
        vcpus.push_back(std::move(*vcpu));
    }
    engine_ = std::move(*engine);
    replace_vcpus(std::move(vcpus), assistance());
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
    if (held_) {
        return fail("a paused machine stays on its engine", "strata unpause lets it go on");
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
