#include "image/registry/challenge.hpp"

#include <gtest/gtest.h>

namespace strata::image {
namespace {

TEST(Challenge, ReadsTokens) {
    const auto challenge = Challenge::parse(
        R"(Bearer realm="https://auth.example/token?a=b",service="registry.example",scope="repository:a/b:pull,push")");
    EXPECT_EQ(challenge.scheme, "bearer");
    EXPECT_EQ(challenge.get("realm"), "https://auth.example/token?a=b");
    EXPECT_EQ(challenge.get("service"), "registry.example");
    EXPECT_EQ(challenge.get("scope"), "repository:a/b:pull,push");
    EXPECT_EQ(challenge.get("absent"), "");
}

TEST(Challenge, ReadsOtherSpellings) {
    const auto challenge = Challenge::parse("BASIC  Realm = plain , x=\"a \\\"quoted\\\" word\"");
    EXPECT_EQ(challenge.scheme, "basic");
    EXPECT_EQ(challenge.get("realm"), "plain");
    EXPECT_EQ(challenge.get("x"), "a \"quoted\" word");
}

TEST(Challenge, EndsOnAnything) {
    for (const char* text : {"", " ", ",", "=", "Bearer", "Bearer ,,,", "Bearer =", "Bearer a=\"",
                             "Bearer a=\"\\", "Bearer =x=y", "Bearer \"", "Bearer a b c"}) {
        EXPECT_EQ(Challenge::parse(text).get("realm"), "") << text;
    }
}

} // namespace
} // namespace strata::image
