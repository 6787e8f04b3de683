#include "cpu/translator/path_recorder.hpp"

#include "cpu/translator/trace.hpp"

#include <algorithm>
#include <ranges>

namespace strata::cpu::translator {

using interpreter::Block;

namespace {

constexpr std::size_t most_steps = 64;

bool usable(const Block& block) { return block.key != Block::dead && block.second_page == Block::dead; }

} // namespace

void PathRecorder::begin(const Step& first, const interpreter::CodeMode& mode, std::uint64_t epoch) {
    steps_.assign(1, first);
    mode_ = mode;
    epoch_ = epoch;
    instructions_ = first.block->count;
    recording_ = true;
    closed_ = false;
}

PathRecorder::State PathRecorder::note(const Step& next, const interpreter::CodeMode& mode,
                                       std::uint64_t epoch) {
    if (epoch != epoch_ ||
        !std::ranges::all_of(steps_, [](const Step& step) { return usable(*step.block); })) {
        return State::lost;
    }
    if (mode == mode_ && next.linear == steps_.front().linear && next.block == steps_.front().block) {
        closed_ = true;
        return State::done;
    }
    if (mode != mode_ || !goes_on_with(next)) {
        cut();
        return State::done;
    }
    steps_.push_back(next);
    instructions_ += next.block->count;
    return State::recording;
}

// A loop within the path is another trace's.
bool PathRecorder::goes_on_with(const Step& next) const {
    return usable(*next.block) && steps_.size() < most_steps && steps_.back().end != BlockEnd::other &&
           instructions_ + next.block->count <= Trace::most_followed && !is_loop(next);
}

// What comes again behind a computed jump is part of an instruction of a program that is interpreted.
bool PathRecorder::is_loop(const Step& next) const {
    for (const Step& step : steps_ | std::views::reverse) {
        if (step.end == BlockEnd::computed_jump || step.end == BlockEnd::computed_call) {
            return false;
        }
        if (step.linear == next.linear) {
            return true;
        }
    }
    return false;
}

// One that leads back to nowhere is followed only as far as it is likely to be taken again: not where it
// returns to who called, or jumps by a table.
void PathRecorder::cut() {
    unsigned depth = 0;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
        const BlockEnd end = steps_[i].end;
        if (end == BlockEnd::call) {
            ++depth;
        } else if (end == BlockEnd::ret && depth > 0) {
            --depth;
        } else if (end != BlockEnd::straight && end != BlockEnd::jump) {
            steps_.resize(i + 1);
        }
    }
}

} // namespace strata::cpu::translator
