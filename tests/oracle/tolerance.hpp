// What the manuals leave undefined, and so is not compared.
#pragma once

#include "generator.hpp"
#include "test_case.hpp"

#include <cstdint>
#include <vector>

namespace strata::oracle {

struct Tolerance {
    std::uint64_t flags = 0;   // bits of RFLAGS
    std::uint16_t gpr = 0;     // registers by number
    std::uint16_t vectors = 0; // likewise

    struct Range {
        std::uint64_t address, size;
    };

    std::vector<Range> memory{};
    bool x87_pointers = false; // FOP, FIP, FDP
    // The parts of a large operand are accessed in no defined order: which of two pages faults, what has been
    // written by then.
    bool parts_in_any_order = false;
    bool narrow = false;    // code that sees registers' low halves only
    bool any_fault = false; // nor is the order of its checks
};

// Flags that an instruction leaves undefined, given the flags undefined before it.
[[nodiscard]] std::uint64_t undefined_flags_after(const Planned& planned, const TestCase& input, bool first,
                                                  std::uint64_t before);

// Whether it is a string instruction that goes on until a count or a comparison ends it.
[[nodiscard]] bool repeats(const Decoded& decoded);

// Whether the case has written over its own instructions.
[[nodiscard]] bool changes_its_code(const TestCase& input, const Outcome& native);

// Whether what it leaves may be undefined, so that nothing may follow it in a case.
[[nodiscard]] bool ends_case(const Decoded& decoded);

// For a whole case, by how it ended natively.
[[nodiscard]] Tolerance tolerance_of(const GeneratedCase& generated, const Outcome& native);

} // namespace strata::oracle
