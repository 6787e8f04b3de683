#include "cpu/interpreter/wide_integer.hpp"

namespace strata::cpu::interpreter {

#if defined(__x86_64__)
[[gnu::target("cx16")]]
#endif
bool compare_exchange_16(std::byte* at, Unsigned128& expected, Unsigned128 desired) {
    const Unsigned128 found =
        __sync_val_compare_and_swap(reinterpret_cast<Unsigned128*>(at), expected, desired);
    const bool done = found == expected;
    expected = found;
    return done;
}

} // namespace strata::cpu::interpreter
