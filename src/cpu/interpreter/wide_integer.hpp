// Integers twice as wide as a given one, up to 128 bits, and what the library lacks for those of 128.
#pragma once

#include <cstddef>
#include <cstdint>

namespace strata::cpu::interpreter {

__extension__ using Unsigned128 = unsigned __int128;
__extension__ using Signed128 = __int128;

template <class T>
struct WideOf;

template <>
struct WideOf<std::uint8_t> {
    using Unsigned = std::uint16_t;
    using Signed = std::int16_t;
};

template <>
struct WideOf<std::uint16_t> {
    using Unsigned = std::uint32_t;
    using Signed = std::int32_t;
};

template <>
struct WideOf<std::uint32_t> {
    using Unsigned = std::uint64_t;
    using Signed = std::int64_t;
};

template <>
struct WideOf<std::uint64_t> {
    using Unsigned = Unsigned128;
    using Signed = Signed128;
};

// See compare_exchange: for 16 bytes, aligned to 16.
[[nodiscard]] bool compare_exchange_16(std::byte* at, Unsigned128& expected, Unsigned128 desired);

template <class T>
using Wide = typename WideOf<T>::Unsigned;
template <class T>
using SignedWide = typename WideOf<T>::Signed;

} // namespace strata::cpu::interpreter
