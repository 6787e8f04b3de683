// Instructions decoded before, found by their bytes and the mode. Decoding takes a hundred times as long as
// executing, and code that a program writes again and again, as compilers at run time do, is mostly alike.
#pragma once

#include "base/bytes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace strata::cpu::interpreter {

// `Value` is what decoding gives; it is kept only for instructions whose bytes alone decide it.
template <class Value>
class DecodeCache {
public:
    // Null if no instruction known in this mode (a number of a byte) begins `bytes`.
    [[nodiscard]] const Value* find(unsigned mode, std::span<const std::uint8_t> bytes) const {
        const Entry& entry = entries_[slot(mode, bytes)];
        const bool same = entry.mode == mode && entry.length <= bytes.size() &&
                          std::equal(entry.bytes.begin(), entry.bytes.begin() + entry.length, bytes.begin());
        return same && entry.length != 0 ? &entry.value : nullptr;
    }

    // The first `length` of `bytes` are an instruction.
    void add(unsigned mode, std::span<const std::uint8_t> bytes, std::uint8_t length, const Value& value) {
        Entry& entry = entries_[slot(mode, bytes)];
        entry.value = value;
        entry.mode = static_cast<std::uint8_t>(mode);
        entry.length = length;
        std::copy_n(bytes.begin(), length, entry.bytes.begin());
    }

private:
    static constexpr std::size_t slot_bits = 12;

    struct Entry {
        Value value{};
        std::array<std::uint8_t, 15> bytes{};
        std::uint8_t length = 0; // 0: empty
        std::uint8_t mode = 0;
    };

    // By the first four bytes, also those behind a short instruction; where fewer are left, they share a
    // slot.
    static std::size_t slot(unsigned mode, std::span<const std::uint8_t> bytes) {
        const auto first = bytes.size() >= 4 ? load_le<std::uint32_t>(bytes.data()) : 0;
        return ((first ^ mode << 24) * 0x9E37'79B1U) >> (32 - slot_bits);
    }

    std::array<Entry, std::size_t{1} << slot_bits> entries_{};
};

} // namespace strata::cpu::interpreter
