// How often a vCPU came out of the guest to the engine, by reason.
#pragma once

#include "cpu/assistance.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace strata::cpu::kvm {

class ExitCounts {
public:
    // `reason` as in kvm_run::exit_reason.
    void add(std::uint32_t reason) {
        auto& counter = counters_[reason < counters_.size() ? reason : 0];
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    // Those that are not 0, each by the reason's name. Any thread.
    [[nodiscard]] std::vector<Count> list() const;

private:
    std::array<std::atomic<std::uint64_t>, 40> counters_{}; // written by the vCPU's thread alone
};

} // namespace strata::cpu::kvm
