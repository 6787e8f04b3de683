#include "cpu/lockstep/follower.hpp"

#include "cpu/lockstep/comparison.hpp"
#include "cpu/lockstep/undefined_flags.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace strata::cpu::lockstep {
namespace {

// Without what is the leader's alone.
VcpuConfig quiet(VcpuConfig config) {
    config.trace = {};
    config.trace_sink = nullptr;
    return config;
}

} // namespace

Follower::Follower(memory::GuestMemory& memory, Memories& memories, const VcpuConfig& config)
    : memory_(memory), memories_(memories), shared_(memory, time_), bus_(memory, time_),
      cpu_(shared_, quiet(config), bus_) {
    cpu_.set_accelerator(this);
}

Follower::~Follower() { cpu_.set_accelerator(nullptr); }

std::string Follower::follow(const Stretch& stretch, const x86::State& goal, std::uint64_t most_blocks) {
    goal_ = &goal;
    bus_.begin(stretch);
    blocks_left_ = most_blocks_ = most_blocks;
    closest_wrong_ = goal.gpr.size() + 1;
    closest_at_ = 0;
    near_ = looked_ = false;
    if (arrived()) { // a look at breakpoints can be all that the leader did
        return {};
    }
    try {
        // Events come first, and what they lead to: so the leader began, too.
        for (std::uint32_t pending = stretch.pending;; pending = 0) {
            run_once(pending);
            // Where the processor steps, as behind a fault, nothing stops it within a repeated instruction.
            if (near_ || cpu_.rip() == goal.rip) {
                step_through();
            }
            if (arrived()) {
                return {};
            }
            looked_ = cpu_.rip() == goal.rip;
            if (cpu_.activity != x86::Activity::active || blocks_left_ == 0) {
                return missed();
            }
        }
    } catch (const OtherCall& call) {
        return fmt::format("  {}\n{}", call.what, missed());
    }
}

// To the next occasion to stop. Where the processor steps by itself, it is made to do that round by round at
// the goal, if that is a repeated instruction: a signal may have stopped the leader there.
void Follower::run_once(std::uint32_t pending) {
    const bool steps_at_goal = cpu_.steps() && cpu_.rip() == goal_->rip;
    if (steps_at_goal) {
        cpu_.set_debug({.single_step = true});
    }
    static_cast<void>(cpu_.run_stretch(pending));
    if (steps_at_goal) {
        cpu_.set_debug({});
    }
}

// Before each block. Stops the processor where it may have arrived.
bool Follower::execute(interpreter::Block& block, interpreter::Block*& /*next*/) {
    const std::uint64_t distance = goal_->rip - cpu_.rip();
    if (distance != 0) {
        end_block_at(block, distance);
    }
    near_ = distance == 0 && block.insns->rep != 0;
    const bool looked = std::exchange(looked_, false);
    const bool may_arrive = near_ || (distance == 0 && !looked && wrong_registers() == 0);
    if (--blocks_left_ != 0 && !may_arrive) {
        settle_last_run();
        recent_[runs_++ % recent_.size()] = {block.linear, block.count, cpu_.retired()};
        near_ = false;
        return false;
    }
    near_ &= blocks_left_ != 0;
    cpu_.end_block();
    return true;
}

// A fault may have ended it early.
void Follower::settle_last_run() {
    if (runs_ != 0) {
        Run& last = recent_[(runs_ - 1) % recent_.size()];
        last.count =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(last.count, cpu_.retired() - last.retired));
    }
}

// If the goal is an instruction within the block, another block begins there from now on.
void Follower::end_block_at(interpreter::Block& block, std::uint64_t distance) {
    if (distance >= block.bytes) {
        return;
    }
    std::uint32_t count = 0, bytes = 0;
    while (bytes < distance) {
        bytes += block.insns[count++].length;
    }
    if (bytes == distance) {
        block.count = count;
        block.bytes = bytes;
    }
}

// How many general registers are not the goal's: a quick look, before all is compared.
std::size_t Follower::wrong_registers() const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < goal_->gpr.size(); ++i) {
        wrong += goal_->gpr[i] != cpu_.regs[i] && !images_of_flags(goal_->gpr[i], cpu_.regs[i]);
    }
    return wrong;
}

bool Follower::arrived() {
    if (cpu_.rip() != goal_->rip || !bus_.finished()) {
        return false;
    }
    const std::size_t wrong = wrong_registers();
    if (wrong != 0) {
        note_closest(wrong);
        return false;
    }
    settle_last_run();
    static_cast<void>(cpu_.prefetch()); // as the leader has done
    x86::State state = cpu_.state();
    const x86::State before = state;
    // Code may come by with all registers the same and yet be elsewhere: so memory decides, too.
    forgive(*goal_, state, before.rflags == goal_->rflags ? 0 : undefined_flags());
    if (state != *goal_ || !memories_.fit()) {
        note_closest(wrong);
        return false;
    }
    if (state != before) {
        ++forgiven_;
        std::ranges::copy(state.gpr, cpu_.regs.begin());
        cpu_.sti_shadow = state.sti_shadow;
        cpu_.set_rflags(state.rflags);
    }
    return true;
}

void Follower::note_closest(std::size_t wrong) {
    if (wrong < closest_wrong_) {
        closest_wrong_ = wrong;
        closest_at_ = most_blocks_ - blocks_left_;
        closest_ = cpu_.state();
        closest_memory_ = wrong == 0 ? memories_.difference() : std::string();
    }
}

// What is told if the goal was not reached.
std::string Follower::missed() const {
    if (closest_wrong_ <= goal_->gpr.size()) {
        return difference(*goal_, closest_) + closest_memory_;
    }
    return bus_.finished() ? difference(*goal_, cpu_.state())
                           : "  only the translator made some calls of the bus\n";
}

// The instruction at the goal, one round at a time if it is repeated, until it is done.
void Follower::step_through() {
    near_ = false;
    cpu_.set_debug({.single_step = true});
    while (cpu_.rip() == goal_->rip && cpu_.activity == x86::Activity::active && --blocks_left_ > 1 &&
           !arrived()) {
        static_cast<void>(cpu_.run_stretch(0));
    }
    cpu_.set_debug({});
}

template <class Act>
void Follower::for_each_recent(Act act) const {
    const bool code64 = cpu_.code64();
    const bool big = cpu_.protected_mode() && !cpu_.v86() && cpu_.system.segments[x86::cs].big();
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder,
                     code64 ? ZYDIS_MACHINE_MODE_LONG_64
                     : big  ? ZYDIS_MACHINE_MODE_LEGACY_32
                            : ZYDIS_MACHINE_MODE_LEGACY_16,
                     code64 ? ZYDIS_STACK_WIDTH_64
                     : big  ? ZYDIS_STACK_WIDTH_32
                            : ZYDIS_STACK_WIDTH_16);
    const std::uint64_t first = runs_ - std::min<std::uint64_t>(runs_, recent_.size());
    for (std::uint64_t i = first; i < runs_; ++i) {
        const Run& run = recent_[i % recent_.size()];
        std::uint64_t linear = run.linear;
        for (std::uint32_t n = 0; n < run.count; ++n) {
            std::array<std::uint8_t, ZYDIS_MAX_INSTRUCTION_LENGTH> bytes{};
            for (std::size_t at = 0; at < bytes.size(); ++at) {
                if (const auto physical = cpu_.translate(linear + at)) {
                    static_cast<void>(memory_.read(*physical, &bytes[at], 1));
                }
            }
            ZydisDecodedInstruction instruction;
            std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
            if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &instruction,
                                                   operands.data()))) {
                break;
            }
            act(linear, instruction, operands.data());
            linear += instruction.length;
        }
    }
}

std::uint64_t Follower::undefined_flags() const {
    UndefinedFlags flags;
    for_each_recent([&](std::uint64_t, const ZydisDecodedInstruction& instruction,
                        const ZydisDecodedOperand*) { flags.executed(instruction); });
    return flags.bits();
}

std::string Follower::recent_code() const {
    std::string text;
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    for_each_recent([&](std::uint64_t linear, const ZydisDecodedInstruction& instruction,
                        const ZydisDecodedOperand* operands) {
        std::array<char, 128> line{};
        ZydisFormatterFormatInstruction(&formatter, &instruction, operands, instruction.operand_count_visible,
                                        line.data(), line.size(), linear, nullptr);
        text += fmt::format("  {:016x}  {}\n", linear, line.data());
    });
    return text;
}

} // namespace strata::cpu::lockstep
