// From an encoding to bytes: plainly, to learn what it means, and with random prefixes and operands.
#pragma once

#include "forms.hpp"
#include "random.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace strata::oracle {

// Bytes of one instruction, and zeros behind it that a decoder may take for its immediate.
class CodeBytes {
public:
    void push(std::uint8_t byte) { bytes_[size_++] = byte; }

    template <class T>
    void push_value(T value) {
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            push(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
        }
    }

    [[nodiscard]] std::span<const std::uint8_t> span() const { return bytes_; }

    [[nodiscard]] std::span<const std::uint8_t> first(std::size_t count) const { return span().first(count); }

    [[nodiscard]] std::uint8_t& operator[](std::size_t i) { return bytes_[i]; }

private:
    std::array<std::uint8_t, 32> bytes_{};
    std::size_t size_ = 0;
};

// Low registers, memory operands through a base and an index register.
[[nodiscard]] CodeBytes encode_plainly(const Encoding& encoding, unsigned width);

// Everything that the form leaves open, at random.
[[nodiscard]] CodeBytes encode_randomly(const Encoding& encoding, unsigned width, Random& random);

} // namespace strata::oracle
