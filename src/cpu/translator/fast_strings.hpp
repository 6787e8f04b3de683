// REP MOVS and REP STOS within a page by the host's own string instructions, without the interpreter.
#pragma once

#include "cpu/translator/assembler.hpp"
#include "cpu/translator/decoded.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace strata::cpu::translator {

// The stubs, called as Stubs::interpret is, by the size of an element: 1, 2, 4, 8.
struct StringStubs {
    std::array<const std::uint8_t*, 4> store{}, move{};

    // What carries out the instruction in 64-bit code, if one of them does.
    [[nodiscard]] std::optional<const std::uint8_t*> find(const Decoded& decoded) const;

    [[nodiscard]] bool contain(const std::uint8_t* stub) const {
        return std::ranges::count(store, stub) + std::ranges::count(move, stub) != 0;
    }
};

// What a stub can't do goes to `interpret`.
[[nodiscard]] StringStubs emit_string_stubs(Assembler& assembler, const std::uint8_t* interpret);

} // namespace strata::cpu::translator
