#include "image/registry/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::image {
namespace {

TEST(RegistrySettings, AreRead) {
    Settings settings;
    const auto done =
        settings.read(R"({"search":["quay.io"],"aliases":{"tools":"quay.io/team/tools"},"stall_seconds":5,
        "registries":{"a.example":{"mirrors":["m:1"],"plain_http":true},"b.example":{"verify_tls":false,"ca":"/x"}}})",
                      "f");
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(settings.search, std::vector<std::string>{"quay.io"});
    EXPECT_EQ(settings.stall.count(), 5);
    EXPECT_TRUE(settings.of("a.example").plain_http);
    EXPECT_EQ(settings.of("a.example").mirrors.front(), "m:1");
    EXPECT_FALSE(settings.of("b.example").verify_tls);
    EXPECT_FALSE(settings.of("c.example").plain_http);
    EXPECT_EQ(settings.resolve_alias("tools:1"), "quay.io/team/tools:1");
    EXPECT_EQ(settings.resolve_alias("tools"), "quay.io/team/tools");
    EXPECT_EQ(settings.resolve_alias("toolsmith"), "toolsmith");
}

TEST(RegistrySettings, OnlyLoopbackIsPlain) {
    const Settings settings;
    for (const char* host : {"localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"}) {
        EXPECT_TRUE(settings.of(host).plain_http) << host;
    }
    for (const char* host :
         {"127.evil.example", "localhost.example", "10.0.0.1:5000", "[::2]", "127.0.0.1x:1"}) {
        EXPECT_FALSE(settings.of(host).plain_http) << host;
    }
}

TEST(RegistrySettings, MistakesAreNamed) {
    const std::pair<const char*, const char*> rows[] = {
        {R"({"serch":[]})", "serch is not a setting"},
        {R"({"registries":{"a":{"mirror":1}}})", "registries.a.mirror is not a setting"},
        {R"({"search":"a"})", "search is not a list"},
        {R"({"stall_seconds":"5"})", "stall_seconds is not"},
        {R"([])", "is not an object"},
    };
    for (const auto& [text, message] : rows) {
        Settings settings;
        const auto done = settings.read(text, "file f");
        ASSERT_FALSE(done) << text;
        EXPECT_THAT(done.error().message,
                    testing::AllOf(testing::HasSubstr("file f"), testing::HasSubstr(message)));
    }
}

} // namespace
} // namespace strata::image
