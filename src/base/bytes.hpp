// Integers in byte buffers, in a stated byte order, at any alignment.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace strata {

template <std::integral T>
[[nodiscard]] constexpr T byte_swap(T value) {
    if constexpr (sizeof(T) == 1) {
        return value;
    } else if constexpr (sizeof(T) == 2) {
        return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    } else if constexpr (sizeof(T) == 4) {
        return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    } else {
        return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
    }
}

template <std::integral T>
[[nodiscard]] T load_le(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return std::endian::native == std::endian::little ? value : byte_swap(value);
}

template <std::integral T>
[[nodiscard]] T load_be(const void* from) {
    return byte_swap(load_le<T>(from));
}

template <std::integral T>
void store_le(void* to, T value) {
    if constexpr (std::endian::native != std::endian::little) {
        value = byte_swap(value);
    }
    std::memcpy(to, &value, sizeof value);
}

template <std::integral T>
void store_be(void* to, T value) {
    store_le(to, byte_swap(value));
}

} // namespace strata
