// A place in code that jumps lead to, known before them or after. Jumps that wait for it are chained by their
// distance fields, so that it needs no memory of its own.
#pragma once

#include <cstdint>

namespace strata::cpu::translator {

class Label {
public:
    // Null until Assembler::L() has put it somewhere.
    [[nodiscard]] const std::uint8_t* address() const { return at_; }

private:
    friend class Assembler;

    const std::uint8_t* at_ = nullptr;
    // The last waiting distance of 32 and of 8 bits: each holds how far before it the previous one is, or 0.
    std::uint8_t* last_near_ = nullptr;
    std::uint8_t* last_short_ = nullptr;
};

} // namespace strata::cpu::translator
