// Which host register holds which guest register. rSP points at the state, rCX, R14 and R15 are free for
// address arithmetic (rCX because JRCXZ tests it without touching flags), so guest rCX and rSP are elsewhere,
// and four guest registers live in memory: at the ends of a trace and in stubs R12 to R15, within a trace the
// ones that it uses least.
#pragma once

#include "cpu/translator/trace.hpp"

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace strata::cpu::translator {

class RegisterMap {
public:
    // As it is at the ends of traces.
    RegisterMap() = default;
    // As is best within one.
    explicit RegisterMap(const Trace& trace);

    // Empty: it lives in memory.
    [[nodiscard]] std::optional<unsigned> host(unsigned guest) const {
        const int number = hosts_[guest];
        return number < 0 ? std::nullopt : std::optional(static_cast<unsigned>(number));
    }

    // A host register that has another guest register than at the ends.
    struct Exchange {
        unsigned host, usual, now;
    };

    [[nodiscard]] std::span<const Exchange> exchanges() const { return exchanges_; }

private:
    std::array<int, 16> hosts_{0, 13, 2, 3, 12, 5, 6, 7, 8, 9, 10, 11, -1, -1, -1, -1};
    std::vector<Exchange> exchanges_;
};

// As it is at the ends of traces.
inline const RegisterMap usual_registers;

} // namespace strata::cpu::translator
