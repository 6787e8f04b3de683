// What a user may have meant by a word that is not known.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace strata {

// The word of `known` that `word` is a misspelling or the beginning of; empty if none is near.
[[nodiscard]] std::string_view nearest_word(std::string_view word, std::span<const std::string_view> known);

// The hint of an error about an unknown word: "did you mean 'max'? known models: 386, 486, max".
[[nodiscard]] std::string unknown_word_hint(std::string_view word, std::span<const std::string_view> known,
                                            std::string_view title);

} // namespace strata
