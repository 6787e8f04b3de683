// Notes which blocks the interpreter carries out one after the other, from a busy one on, until it is there
// again: what a trace is then made of that follows them (Trace::follow).
#pragma once

#include "cpu/interpreter/blocks.hpp"
#include "cpu/interpreter/code_mode.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::cpu::translator {

// How a block goes on.
enum class BlockEnd : std::uint8_t { straight, jump, call, computed_jump, computed_call, ret, other };

class PathRecorder {
public:
    struct Step {
        interpreter::Block* block;
        std::uint64_t linear;
        BlockEnd end;
    };

    enum class State : std::uint8_t {
        recording,
        done, // steps() and closed() are what it found
        lost, // the path led where none can be followed
    };

    // `epoch` is BlockCache::epoch(): blocks are where they were while it is the same.
    void begin(const Step& first, const interpreter::CodeMode& mode, std::uint64_t epoch);
    // The next block is about to be carried out.
    State note(const Step& next, const interpreter::CodeMode& mode, std::uint64_t epoch);

    // What was found stays until it begins again.
    void end() { recording_ = false; }

    [[nodiscard]] bool recording() const { return recording_; }

    [[nodiscard]] std::span<const Step> steps() const { return steps_; }

    [[nodiscard]] const interpreter::CodeMode& mode() const { return mode_; }

    // Whether it leads back to its first block.
    [[nodiscard]] bool closed() const { return closed_; }

    // Whether the first block is where it was.
    [[nodiscard]] bool knows_blocks(std::uint64_t epoch) const { return epoch_ == epoch; }

private:
    [[nodiscard]] bool goes_on_with(const Step& next) const;
    [[nodiscard]] bool is_loop(const Step& next) const;
    void cut();

    std::vector<Step> steps_;
    interpreter::CodeMode mode_{};
    std::uint64_t epoch_ = 0;
    std::size_t instructions_ = 0;
    bool recording_ = false, closed_ = false;
};

} // namespace strata::cpu::translator
