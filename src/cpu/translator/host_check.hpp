// Proves of a trace's host code, after it was made and without trust in who made it, that it stays within
// bounds: it accesses nothing but the processor's state, and guest memory that its checks have covered, and
// jumps nowhere but to itself, to the stubs, and to what the table of jumps holds. By symbolic execution of
// all paths: a check (adox or adcx of an address with a region's limit, and the jump behind it) covers a run
// of linear addresses by a region; an access has to be a covered address plus that same region's addend.
// Slow; for tests and fuzzers.
#pragma once

#include "cpu/translator/block_compiler.hpp"

#include <optional>
#include <span>
#include <string>

namespace strata::cpu::translator {

struct HostCode {
    const StateLayout& layout;
    const Stubs& stubs;
    const NativeBlock& native;
    std::span<const TraceInstruction> instructions;
    std::span<const Trap> traps;
    const std::uint8_t* end; // it begins at native.entry
};

// What is wrong with it, and where: the first thing found.
[[nodiscard]] std::optional<std::string> find_escape(const HostCode& code);

} // namespace strata::cpu::translator
