// What is known about the host's registers and the processor's state at a place in translated code.
#pragma once

#include "cpu/translator/linear_value.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace strata::cpu::translator {

// What a symbol of a LinearValue stands for.
struct Meaning {
    enum class Kind : std::uint8_t {
        entry_register, // a register when the trace was entered
        entry_state,    // a field of the processor's state then: distance
        region,         // number and field of a Region
        defined,        // a result: the instruction's offset, place
        joined,         // one of several values: where paths meet, place
        index,          // of a table's entry: the mask's distance, the indexed value
        page,           // the page of a value
        low_half,       // of a value
        extended,       // by its sign: its bits, the value
        shifted,        // to the right, with its sign: by how many bits, the value
        bit,            // a bit's number in an element: the mask's distance, the indexed value
        tag,            // a TLB tag: the array's distance, the indexed value
        tlb_addend,     // a TLB addend: likewise
        target,         // a host address out of the table of jumps
        filled,         // whether a region was filled: its number
    };

    Kind kind;
    std::uint64_t a = 0, b = 0;

    auto operator<=>(const Meaning&) const = default;
};

class Symbols {
public:
    [[nodiscard]] LinearValue value(Meaning::Kind kind, std::uint64_t a = 0, std::uint64_t b = 0) {
        const auto [found, inserted] =
            numbers_.try_emplace({kind, a, b}, static_cast<LinearValue::Symbol>(meanings_.size()));
        if (inserted) {
            meanings_.push_back(found->first);
        }
        return LinearValue::of_symbol(found->second);
    }

    [[nodiscard]] const Meaning& meaning(LinearValue::Symbol symbol) const { return meanings_[symbol]; }

    // A number for a value, to be part of a meaning.
    [[nodiscard]] std::uint64_t number(const LinearValue& value) {
        for (std::size_t i = 0; i < values_.size(); ++i) {
            if (values_[i] == value) {
                return i;
            }
        }
        values_.push_back(value);
        return values_.size() - 1;
    }

    [[nodiscard]] const LinearValue& numbered(std::uint64_t number) const { return values_[number]; }

private:
    std::map<Meaning, LinearValue::Symbol> numbers_;
    std::vector<Meaning> meanings_;
    std::vector<LinearValue> values_;
};

// A place that has a value: a host register, or a field of the processor's state.
using Place = std::int64_t;

constexpr Place place_of_register(unsigned number) { return -1 - static_cast<Place>(number); }

struct HostState {
    std::array<LinearValue, 16> registers;
    std::map<std::int64_t, LinearValue> fields; // by distance, as far as they were accessed
    std::map<unsigned, LinearValue> covered;    // by region: the lowest linear address that a check covers
    // By the numbers of the first indexed and the last compared value: bytes between that the TLB covers.
    std::set<std::pair<std::uint64_t, std::uint64_t>> covered_by_tlb;
    std::set<unsigned> missed; // regions that the interpreter may fill
    int pushed = 0;            // words on the stack

    bool operator==(const HostState&) const = default;
};

} // namespace strata::cpu::translator
