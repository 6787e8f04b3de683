#include "cpu/lockstep/trial.hpp"

#include "cpu/lockstep/case_bus.hpp"
#include "cpu/lockstep/vcpu.hpp"

#include <cstring>
#include <functional>

namespace strata::cpu::lockstep {
namespace {

// The interpreter alone, one instruction of a case after the other.
class Stepper {
public:
    Stepper(const Case& given, std::unique_ptr<memory::GuestMemory> memory)
        : case_(given), memory_(std::move(memory)), time_(given.stretch.time), shared_(*memory_, time_),
          bus_(given, *memory_, time_), cpu_(shared_, given.config(), bus_) {
        bus_.connect(cpu_.signals());
        cpu_.set_state(given.state);
        cpu_.set_debug({.single_step = true});
    }

    // An instruction, and the events that come before it. Whether there can be another.
    [[nodiscard]] bool step() {
        const std::uint32_t pending = std::exchange(pending_, 0U);
        static_cast<void>(cpu_.run_stretch(pending));
        return cpu_.activity == x86::Activity::active;
    }

    [[nodiscard]] std::optional<Instruction> next() const { return instruction_at_rip(cpu_, *memory_); }

    [[nodiscard]] bool asked() const { return bus_.used(); }

    // The case that begins here.
    [[nodiscard]] Case rest() const {
        Case rest = case_;
        rest.state = cpu_.state();
        rest.stretch.pending = 0;
        for (const memory::GuestPhysical page : memory_->dirty()) {
            std::memcpy(rest.pages[page].data(), memory_->host(page, memory::page_size), memory::page_size);
        }
        return rest;
    }

private:
    const Case& case_;
    std::unique_ptr<memory::GuestMemory> memory_;
    Clock time_;
    interpreter::Shared shared_;
    CaseBus bus_;
    interpreter::Cpu cpu_;
    std::uint32_t pending_ = case_.stretch.pending;
};

} // namespace

Result<std::optional<Difference>> try_case(const Case& given, const MakeLeader& make_leader,
                                           const Pace& pace) {
    auto memory = given.make_memory();
    if (!memory) {
        return std::unexpected(memory.error());
    }
    const auto copies = Copies::of(**memory);
    if (!copies) {
        return std::unexpected(copies.error());
    }
    Clock time(given.stretch.time);
    CaseBus bus(given, **memory, time);
    auto vcpu = LockstepVcpu::create(**memory, *copies, time, given.config(), bus, make_leader, pace);
    if (!vcpu) {
        return std::unexpected(vcpu.error());
    }
    bus.connect((*vcpu)->signals());
    (*vcpu)->set_state(given.state);
    (*vcpu)->signals().set(given.stretch.pending & ~Signals::leave);
    const std::uint64_t most = given.instructions * 2 + 64;
    for (std::uint64_t stretches = 0; stretches < most && (*vcpu)->instructions_retired() < most;
         ++stretches) {
        const auto exit = (*vcpu)->run_stretch();
        if ((*vcpu)->failed_on()) {
            return Difference{(*vcpu)->report(), *(*vcpu)->failed_on()};
        }
        if (exit) {
            break;
        }
    }
    return std::nullopt;
}

Result<std::vector<Instruction>> instructions_of(const Case& given, std::size_t most) {
    auto memory = given.make_memory();
    if (!memory) {
        return std::unexpected(memory.error());
    }
    Stepper stepper(given, std::move(*memory));
    std::vector<Instruction> instructions;
    do {
        const auto next = stepper.next();
        if (!next || instructions.size() == most) {
            break;
        }
        instructions.push_back(*next);
    } while (stepper.step());
    return instructions;
}

Result<std::optional<Case>> begin_later(const Case& given, std::size_t instructions) {
    auto memory = given.make_memory();
    if (!memory) {
        return std::unexpected(memory.error());
    }
    Stepper stepper(given, std::move(*memory));
    for (std::size_t i = 0; i < instructions; ++i) {
        if (!stepper.step() || stepper.asked()) {
            return std::nullopt;
        }
    }
    return stepper.rest();
}

} // namespace strata::cpu::lockstep
