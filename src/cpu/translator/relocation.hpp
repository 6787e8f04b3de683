// What in a trace's host code is another value elsewhere: in another place, for another processor, or if the
// guest's code is at another linear address. It is noted where it is emitted.
#pragma once

#include <cstddef>
#include <cstdint>

namespace strata::cpu::translator {

// Four or eight bytes of host code. Which of the values of a kind is `value`.
struct Relocation {
    enum class Kind : std::uint8_t {
        stub,            // distance to a stub: how far it is behind the first one
        site,            // address of a Site: the instruction's place in the trace
        link,            // address of a Link: which
        data_set,        // address of a TLB set: its DataView
        region,          // distance of a Region's field: which region * sizeof(Region) + the field's place
        region_number,   // which region
        page_id,         // minus NativeBlock::page_id
        fetch_id,        // distance of a linear address's fetch id: the address
        linear_unsigned, // a linear address in 32 bits
        linear_signed,   // likewise, of which the processor makes 64 by repeating the sign
        linear,          // a linear address
    };

    std::uint32_t at : 24; // from the code's beginning
    Kind kind : 8;
    std::int32_t value; // linear addresses count from the trace's first instruction

    bool operator==(const Relocation&) const = default;
};

[[nodiscard]] constexpr std::size_t size_of(Relocation::Kind kind) {
    using enum Relocation::Kind;
    return kind == site || kind == link || kind == data_set || kind == linear ? 8 : 4;
}

// One as it is noted: the value is what was emitted, but of a region's field its distance.
struct Note {
    std::uint32_t at;
    Relocation::Kind kind;
    std::uint64_t value;
};

} // namespace strata::cpu::translator
