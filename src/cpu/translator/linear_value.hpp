// A value as a sum of symbols: constant + factor * symbol + ..., modulo 2^64. What a symbol stands for is its
// maker's to know.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace strata::cpu::translator {

class LinearValue {
public:
    using Symbol = std::uint32_t;

    struct Term {
        Symbol symbol = 0;
        std::uint64_t factor = 0;

        bool operator==(const Term&) const = default;
    };

    LinearValue() = default; // 0

    static LinearValue of_constant(std::uint64_t constant) {
        LinearValue value;
        value.constant_ = constant;
        return value;
    }

    static LinearValue of_symbol(Symbol symbol) {
        LinearValue value;
        value.terms_[value.count_++] = {symbol, 1};
        return value;
    }

    [[nodiscard]] std::span<const Term> terms() const { return std::span(terms_).first(count_); }

    // If it is one.
    [[nodiscard]] std::optional<std::uint64_t> constant() const {
        return count_ == 0 ? std::optional(constant_) : std::nullopt;
    }

    // If it is one symbol and nothing else.
    [[nodiscard]] std::optional<Symbol> symbol() const {
        return count_ == 1 && constant_ == 0 && terms_[0].factor == 1 ? std::optional(terms_[0].symbol)
                                                                      : std::nullopt;
    }

    // Empty: of more terms than there is room for.
    [[nodiscard]] std::optional<LinearValue> plus(const LinearValue& other, std::uint64_t factor = 1) const {
        LinearValue sum;
        sum.constant_ = constant_ + factor * other.constant_;
        std::size_t mine = 0, others = 0;
        while (mine < count_ || others < other.count_) { // both in the order of their symbols
            Term next;
            const bool from_other = mine == count_ || (others < other.count_ &&
                                                       other.terms_[others].symbol < terms_[mine].symbol);
            if (from_other) {
                next = {other.terms_[others].symbol, factor * other.terms_[others].factor};
                ++others;
            } else {
                next = terms_[mine++];
                if (others < other.count_ && other.terms_[others].symbol == next.symbol) {
                    next.factor += factor * other.terms_[others++].factor;
                }
            }
            if (next.factor == 0) {
                continue;
            }
            if (sum.count_ == sum.terms_.size()) {
                return std::nullopt;
            }
            sum.terms_[sum.count_++] = next;
        }
        return sum;
    }

    bool operator==(const LinearValue&) const = default;

private:
    std::uint64_t constant_ = 0;
    std::array<Term, 6> terms_{}; // in the order of the symbols; those not used are 0
    std::size_t count_ = 0;
};

} // namespace strata::cpu::translator
