// A CompiledTrace made good in a place: a block that can run there.
#pragma once

#include "cpu/interpreter/decoder.hpp"
#include "cpu/translator/compiled_trace.hpp"

namespace strata::cpu::translator {

// Where it is to be and for whom.
struct Installation {
    std::span<std::uint8_t> to; // of code(): written here; where it runs distances are the same
    const Stubs& stubs;
    const StateLayout& layout;
    Regions& regions;
    interpreter::Decoder& decoder;
    const interpreter::CodeMode& mode;
};

// `native` has its linear address, the page's id and what is of the mode; it gets the rest, and `traps` what
// may trap. False: not with this linear address, or there are not enough regions; then it has none.
[[nodiscard]] bool install(const CompiledTrace& trace, const Installation& place, NativeBlock& native,
                           std::vector<Trap>& traps);

// The copy's values for `native`, whose tables are filled. False: a linear address does not fit.
[[nodiscard]] bool relocate(const CompiledTrace& trace, std::span<std::uint8_t> copy, const Stubs& stubs,
                            const StateLayout& layout, const NativeBlock& native);

} // namespace strata::cpu::translator
