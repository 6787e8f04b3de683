#include "base/suggestion.hpp"

#include <array>
#include <gtest/gtest.h>

namespace strata {
namespace {

constexpr std::array<std::string_view, 4> engines{"auto", "interpreter", "translator", "kvm"};

TEST(Suggestion, FindsWhatWasMisspelt) {
    EXPECT_EQ(nearest_word("tranlsator", engines), "translator");  // two letters swapped
    EXPECT_EQ(nearest_word("interpeter", engines), "interpreter"); // one missing
    EXPECT_EQ(nearest_word("kvmm", engines), "kvm");               // one too many
    EXPECT_EQ(nearest_word("suto", engines), "auto");              // another in its place
    EXPECT_EQ(nearest_word("interp", engines), "interpreter");     // a beginning
}

TEST(Suggestion, DoesNotGuessWildly) {
    EXPECT_EQ(nearest_word("", engines), "");
    EXPECT_EQ(nearest_word("x", engines), "");
    EXPECT_EQ(nearest_word("qemu", engines), "");
    EXPECT_EQ(nearest_word(std::string(1000, 't'), engines), "");
    EXPECT_EQ(nearest_word("auto", {}), "");
}

TEST(Suggestion, HintNamesAllThatIsKnown) {
    EXPECT_EQ(unknown_word_hint("kvn", engines, "known engines"),
              "did you mean 'kvm'? known engines: auto, interpreter, translator, kvm");
    EXPECT_EQ(unknown_word_hint("qemu", engines, "known engines"),
              "known engines: auto, interpreter, translator, kvm");
}

} // namespace
} // namespace strata
