#include "cpu/translator/path_recorder.hpp"

#include "cpu/translator/trace.hpp"

#include <algorithm>

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

// A loop within the path is another trace's. What comes again by a computed jump is one of the instructions
// of a program that is interpreted.
bool PathRecorder::goes_on_with(const Step& next) const {
    const BlockEnd last = steps_.back().end;
    const bool computed = last == BlockEnd::computed_jump || last == BlockEnd::computed_call ||
                          last == BlockEnd::ret || last == BlockEnd::call;
    const bool known_place =
        std::ranges::any_of(steps_, [&](const Step& step) { return step.linear == next.linear; });
    return usable(*next.block) && steps_.size() < most_steps && last != BlockEnd::other &&
           instructions_ + next.block->count <= Trace::most_followed && (computed || !known_place);
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
