// The interpreter that comes after: it runs until it is where the leader got, and stops exactly there.
#pragma once

#include "cpu/interpreter/blocks.hpp"
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/lockstep/memories.hpp"
#include "cpu/lockstep/replayer.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace strata::cpu::lockstep {

class Follower final : private interpreter::BlockAccelerator {
public:
    // `memory` is its own, of `memories` the follower's.
    Follower(memory::GuestMemory& memory, Memories& memories, const VcpuConfig& config);
    ~Follower() override;
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    // Does what the leader did in `stretch`, which brought it to `goal`. What differs then; empty: nothing,
    // and the processor is at `goal`. It gives up after so many blocks.
    [[nodiscard]] std::string follow(const Stretch& stretch, const x86::State& goal,
                                     std::uint64_t most_blocks = far_more_blocks);

    // After a difference: how many blocks were surely enough to come to the goal.
    [[nodiscard]] std::uint64_t blocks_enough() const {
        constexpr std::uint64_t some_more = 200'000;
        return blocks_left_ == 0 ? closest_at_ + some_more : most_blocks_ - blocks_left_ + 1;
    }

    [[nodiscard]] interpreter::Cpu& cpu() { return cpu_; }

    [[nodiscard]] memory::GuestMemory& memory() { return memory_; }

    // How often flags were taken from the leader that the manuals leave undefined.
    [[nodiscard]] std::uint64_t forgiven() const { return forgiven_; }

    // The code that was run last, as assembly.
    [[nodiscard]] std::string recent_code() const;

private:
    // Than a leader runs between two looks at its signals.
    static constexpr std::uint64_t far_more_blocks = 50'000'000;

    bool execute(interpreter::Block& block, interpreter::Block*& next) override;

    [[nodiscard]] bool keeps_to_blocks() const override { return true; }

    void discard(interpreter::Block& /*block*/) override {}

    void run_once(std::uint32_t pending);
    void settle_last_run();
    void end_block_at(interpreter::Block& block, std::uint64_t distance);
    [[nodiscard]] std::size_t wrong_registers() const;
    void note_closest(std::size_t wrong);
    [[nodiscard]] std::string missed() const;
    [[nodiscard]] bool arrived();
    void step_through();
    [[nodiscard]] std::uint64_t undefined_flags() const;

    struct Run { // of instructions, one after the other
        std::uint64_t linear = 0;
        std::uint32_t count = 0;
        std::uint64_t retired = 0; // before them
    };

    template <class Act>
    void for_each_recent(Act act) const;

    memory::GuestMemory& memory_;
    Memories& memories_;
    Clock time_{0};
    interpreter::Shared shared_;
    Replayer bus_;
    interpreter::Cpu cpu_;
    const x86::State* goal_ = nullptr;
    std::uint64_t blocks_left_ = 0, most_blocks_ = 0;
    bool near_ = false;   // the goal is within the repeated instruction that comes next
    bool looked_ = false; // it is where the goal's RIP is, but has not arrived
    // The state in which RIP and all calls were right, and most registers were; so many were not.
    x86::State closest_{};
    std::string closest_memory_; // what differed there
    std::size_t closest_wrong_ = 0;
    std::uint64_t closest_at_ = 0; // in blocks
    std::array<Run, 16> recent_{};
    std::uint64_t runs_ = 0;
    std::uint64_t forgiven_ = 0;
};

} // namespace strata::cpu::lockstep
