#include "base/suggestion.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace strata {
namespace {

// How many letters are missing, added, replaced, or swapped with their neighbour (optimal string alignment).
std::size_t distance(std::string_view from, std::string_view to) {
    const std::size_t width = to.size() + 1;
    std::vector<std::size_t> table((from.size() + 1) * width);
    const auto at = [&](std::size_t row, std::size_t column) -> std::size_t& {
        return table[row * width + column];
    };
    for (std::size_t i = 0; i <= from.size(); ++i) {
        for (std::size_t j = 0; j <= to.size(); ++j) {
            if (i == 0 || j == 0) {
                at(i, j) = i + j;
                continue;
            }
            at(i, j) =
                std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (from[i - 1] != to[j - 1])});
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
                at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
            }
        }
    }
    return table.back();
}

constexpr std::size_t longest = 64; // nobody mistypes a longer word; the table stays small
constexpr std::size_t shortest_beginning = 3;

} // namespace

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known) {
    if (word.empty() || word.size() > longest) {
        return {};
    }
    std::string_view nearest;
    std::size_t least = std::numeric_limits<std::size_t>::max();
    for (const std::string_view candidate : known) {
        const bool beginning = word.size() >= shortest_beginning && candidate.starts_with(word);
        const auto errors = beginning ? 1 : distance(word, candidate);
        if (errors < least && errors <= std::max<std::size_t>(1, candidate.size() / 3)) {
            least = errors;
            nearest = candidate;
        }
    }
    return nearest;
}

std::string unknown_word_hint(std::string_view word, std::span<const std::string_view> known,
                              std::string_view title) {
    std::string hint;
    if (const auto nearest = nearest_word(word, known); !nearest.empty()) {
        hint.append("did you mean '").append(nearest).append("'? ");
    }
    hint.append(title);
    std::string_view separator = ": ";
    for (const std::string_view name : known) {
        hint.append(separator).append(name);
        separator = ", ";
    }
    return hint;
}

} // namespace strata
