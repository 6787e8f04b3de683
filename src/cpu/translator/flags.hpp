// CF and OF, which checks in translated code may borrow: each of ADCX and ADOX changes one of them alone.
#pragma once

#include "cpu/translator/trace.hpp"

namespace strata::cpu::translator {

enum class Borrowed : std::uint8_t { nothing, cf, of };

struct FlagSet {
    bool cf = false, of = false;

    [[nodiscard]] bool has(Borrowed flag) const {
        return (flag == Borrowed::cf && cf) || (flag == Borrowed::of && of);
    }
};

struct FlagEffects {
    FlagSet needs;      // read, or perhaps left as they were
    FlagSet overwrites; // in any case
};

[[nodiscard]] FlagEffects flag_effects(const TraceInstruction& instruction);

// Which flag is best borrowed in front of the first instruction: it should be overwritten soon, and not
// needed before.
[[nodiscard]] Borrowed flag_to_borrow(std::span<const TraceInstruction> rest);

} // namespace strata::cpu::translator
