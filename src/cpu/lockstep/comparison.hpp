// What of two processors' states differs. The manuals leave some flags undefined: host and interpreter may
// differ in them, and so may what was stored of them.
#pragma once

#include "cpu/x86/registers.hpp"
#include "cpu/x86/state.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::cpu::lockstep {

// Whether both can be images of RFLAGS, and differ in arithmetic flags alone.
[[nodiscard]] constexpr bool images_of_flags(std::uint64_t a, std::uint64_t b) {
    constexpr std::uint64_t never = x86::flag::vm | 1 << 3 | 1 << 5 | 1 << 15 | ~std::uint64_t{0x3F'FFFF};
    return ((a ^ b) & ~x86::flag::arithmetic) == 0 && (a & x86::flag::fixed) != 0 && (a & never) == 0;
}

// The same of words of memory. An image that was left below the stack, as an interrupt's is, may since be
// overwritten in part: of 32 bits the lower half tells.
[[nodiscard]] constexpr bool remains_of_flags(std::uint32_t a, std::uint32_t b) {
    return (a ^ b) <= 0xFFFF && images_of_flags(a & 0xFFFF, b & 0xFFFF);
}

// What may differ in flags is taken from `leader` into `follower`, where only that differs: `undefined` are
// the flags that are so. Likewise what says how the next instruction begins and not what was done: the shadow
// of STI, which is left out where nothing waits, and RF.
void forgive(const x86::State& leader, x86::State& follower, std::uint64_t undefined);

// What differs, a line each, the leader's value first. Empty: nothing.
[[nodiscard]] std::string difference(const x86::State& leader, const x86::State& follower);

// All registers that programs see, some lines.
[[nodiscard]] std::string describe(const x86::State& state);

} // namespace strata::cpu::lockstep
