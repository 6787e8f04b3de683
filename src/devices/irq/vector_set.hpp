// A set of the 256 interrupt vectors, as the 256-bit registers IRR, ISR and TMR of a local APIC hold it.
#pragma once

#include "base/state_visitor.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace strata::devices {

class VectorSet {
public:
    void set(std::uint8_t vector) { words_[vector / 64] |= mask(vector); }

    void clear(std::uint8_t vector) { words_[vector / 64] &= ~mask(vector); }

    [[nodiscard]] bool test(std::uint8_t vector) const { return (words_[vector / 64] & mask(vector)) != 0; }

    void clear_all() { words_ = {}; }

    // The highest vector in the set, or -1.
    [[nodiscard]] int highest() const {
        for (int i = 3; i >= 0; --i) {
            if (const auto word = words_[static_cast<std::size_t>(i)]; word != 0) {
                return i * 64 + 63 - std::countl_zero(word);
            }
        }
        return -1;
    }

    // One of the eight 32-bit registers.
    [[nodiscard]] std::uint32_t word(unsigned index) const {
        return static_cast<std::uint32_t>(words_[index / 2 % 4] >> (index % 2 * 32));
    }

    void set_word(unsigned index, std::uint32_t value) {
        const unsigned shift = index % 2 * 32;
        auto& word = words_[index / 2 % 4];
        word = (word & ~(std::uint64_t{0xFFFF'FFFF} << shift)) | std::uint64_t{value} << shift;
    }

    void visit(std::string_view name, StateVisitor& visitor) { visitor.field(name, words_); }

private:
    static std::uint64_t mask(std::uint8_t vector) { return std::uint64_t{1} << (vector % 64); }

    std::array<std::uint64_t, 4> words_{};
};

} // namespace strata::devices
