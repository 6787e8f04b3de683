// The processor's state as host code reaches it, by name.
#pragma once

#include "cpu/translator/layout.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace strata::cpu::translator {

class StateNames {
public:
    explicit StateNames(const StateLayout& layout);

    // Of what is that far from the host's rSP.
    [[nodiscard]] std::string of(std::int64_t distance) const;

private:
    const StateLayout& layout_;
    std::map<int, std::string> names_;
};

} // namespace strata::cpu::translator
