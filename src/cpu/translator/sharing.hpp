// Accesses of a trace that lie a known distance from each other share one check: the first of them checks all
// that the group reaches.
#pragma once

#include "cpu/translator/effective_address.hpp"
#include "cpu/translator/trace.hpp"
#include "cpu/x86/state.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::cpu::translator {

// What is accessed, from where its registers' values were when it began. Modulo 2^64, as addresses are: those
// that a guest writes out may be any.
struct AccessGroup {
    std::uint64_t lowest = 0, length = 0;
    unsigned accesses = 0;
    bool writes = false;
};

// An access as one of a group: `offset` is its address as the group counts.
struct SharedAccess {
    unsigned group = 0;
    std::uint64_t offset = 0;
};

// Of two within a group's reach.
[[nodiscard]] constexpr std::int64_t distance(std::uint64_t from, std::uint64_t to) {
    return static_cast<std::int64_t>(to - from);
}

class Sharing {
public:
    static constexpr unsigned most_accesses = 2; // of an instruction

    void plan(std::span<const TraceInstruction> instructions);

    [[nodiscard]] std::span<const AccessGroup> groups() const { return groups_; }

    // The accesses of an instruction, in the order in which they are made.
    [[nodiscard]] const SharedAccess& access(std::size_t instruction, unsigned number) const {
        return accesses_[instruction][number];
    }

private:
    // The values that registers had at some time, as far as they are known to differ by a constant.
    struct Value {
        unsigned name = 0;
        std::uint64_t offset = 0;
    };

    struct Origin {
        unsigned base = 0, index = 0, scale = 0; // names of values
        unsigned segment = 0;                    // likewise of its base
        unsigned bits = 0;     // not 0: a bit string's element, which is like no other access
        bool from_rip = false; // how far from addresses that are written out depends on where the code is
        bool operator==(const Origin&) const = default;
    };

    void plan(const TraceInstruction& instruction);
    void add(const EffectiveAddress& address, unsigned size, bool writes);
    void follow(const TraceInstruction& instruction);

    // The name of FS' or GS' base. What else changes it, the interpreter carries out.
    unsigned& base_of(int segment) { return bases_[static_cast<unsigned>(segment) - x86::fs]; }

    void forget(unsigned guest) { values_[guest] = {next_name_++, 0}; }

    std::array<Value, 16> values_{};
    std::array<unsigned, 2> bases_{}; // of FS and GS: names of values
    unsigned next_name_ = 1;          // 0: no register
    std::vector<AccessGroup> groups_;
    std::vector<Origin> origins_; // of the groups
    std::vector<std::array<SharedAccess, most_accesses>> accesses_;
    std::array<SharedAccess, most_accesses>* current_ = nullptr; // the instruction's that is looked at
    unsigned added_ = 0;                                         // of its accesses
};

} // namespace strata::cpu::translator
