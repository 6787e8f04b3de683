// The memory of the two processors: the machine's own, which the leader has, and the follower's copy; and how
// both were before the leader set out.
#pragma once

#include "cpu/lockstep/case.hpp"
#include "cpu/lockstep/stretch.hpp"
#include "memory/guest_memory.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace strata::cpu::lockstep {

// Empty memory of the same size and in the same places.
[[nodiscard]] Result<std::unique_ptr<memory::GuestMemory>> new_copy(const memory::GuestMemory& memory);

class Memories {
public:
    Memories(memory::GuestMemory& leader, memory::GuestMemory& follower, memory::GuestMemory& before)
        : leader_(leader), follower_(follower), before_(before) {}

    // Makes the copy what the original is, where either was written since the last time. The caller sees to
    // it that both processors forget how they may write; likewise for forget().
    void copy();
    // What was written till now is compared no more.
    void forget();

    // As the follower's is now, so both were before.
    void keep();
    // The follower's is again as it was. Likewise.
    void restore();
    // What was before, in the pages of `touched` and in those that the leader has changed.
    [[nodiscard]] std::map<memory::GuestPhysical, Page>
    before(const std::vector<memory::GuestPhysical>& touched) const;

    // Whether both hold the same, as far as they were written since the last copy() or forget(), but for
    // pages that devices wrote by themselves. Images of flags that may differ are then made the same.
    [[nodiscard]] bool fit();
    // What keeps them from it, some lines.
    [[nodiscard]] std::string difference() const;

    // A device wrote by itself: the copy gets it, too.
    void apply(const DeviceWrite& write);

private:
    struct Word {
        memory::GuestPhysical address;
        std::uint32_t leader, follower; // flags are kept in 4 bytes, too
    };

    // All pages that either wrote since the last copy() or forget(), each once or twice.
    template <class Act>
    void for_each_written(Act act) const;
    // The 4-byte words that differ.
    [[nodiscard]] std::vector<Word> differing() const;

    memory::GuestMemory& leader_;
    memory::GuestMemory& follower_;
    memory::GuestMemory& before_;
    std::set<memory::GuestPhysical> devices_; // pages
};

} // namespace strata::cpu::lockstep
