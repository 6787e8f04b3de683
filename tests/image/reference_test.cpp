#include "image/reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::image {
namespace {

const std::string hex(64, 'a');

TEST(Reference, CompletesShortNames) {
    const std::pair<const char*, const char*> rows[] = {
        {"debian", "docker.io/library/debian:latest"},
        {"debian:12", "docker.io/library/debian:12"},
        {"team/app", "docker.io/team/app:latest"},
        {"index.docker.io/team/app:1", "docker.io/team/app:1"},
        {"quay.io/team/app", "quay.io/team/app:latest"},
        {"localhost/app", "localhost/app:latest"},
        {"localhost:5000/app:1.0", "localhost:5000/app:1.0"},
        {"127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x"},
        {"[::1]:5000/app", "[::1]:5000/app:latest"},
        {"Host/app", "Host/app:latest"},
        {"a__b/c-d.e_f--g", "docker.io/a__b/c-d.e_f--g:latest"},
    };
    for (const auto& [text, whole] : rows) {
        const auto reference = Reference::parse(text);
        ASSERT_TRUE(reference) << text << ": " << reference.error().message;
        EXPECT_EQ(reference->text(), whole);
        EXPECT_EQ(*Reference::parse(reference->text()), *reference);
        EXPECT_EQ(*Reference::parse(reference->familiar()), *reference);
    }
}

TEST(Reference, KeepsDigests) {
    const auto text = "quay.io/app:1@sha256:" + hex;
    const auto reference = Reference::parse(text);
    ASSERT_TRUE(reference);
    EXPECT_EQ(reference->tag, "1");
    EXPECT_EQ(reference->digest->hex(), hex);
    EXPECT_EQ(reference->text(), text);
    EXPECT_EQ(Reference::parse("quay.io/app@sha256:" + hex)->tag, "");
}

TEST(Reference, WritesWhatPeopleWrite) {
    EXPECT_EQ(Reference::parse("docker.io/library/debian:12")->familiar(), "debian:12");
    EXPECT_EQ(Reference::parse("docker.io/team/app:1")->familiar(), "team/app:1");
    EXPECT_EQ(Reference::parse("docker.io/library/a/b:1")->familiar(), "library/a/b:1");
    EXPECT_EQ(Reference::parse("quay.io/library/app")->familiar_name(), "quay.io/library/app");
    EXPECT_EQ(Reference::parse("docker.io/looks.like/a-host:1")->familiar(), "docker.io/looks.like/a-host:1");
}

TEST(Reference, RefusesWhatIsNoName) {
    for (const std::string text : {"",          ":",           "@",        "/",           "a//b",
                                   "/a",        "a/",          "Debian",   "a:",          "a:-x",
                                   "a: b",      "a@sha256:12", "a@md5:1",  "a.",          ".a",
                                   "a._b",      "a___b",       "quay.io/", "quay.io:x/a", "quay.io:123456/a",
                                   "-host.x/a", "[::g]/a",     "[]/a",     "../etc",      "a/../b",
                                   "a\nb",      "a%2fb"}) {
        const auto reference = Reference::parse(text);
        EXPECT_FALSE(reference) << text << " became " << reference->text();
    }
    EXPECT_FALSE(Reference::parse("a:" + std::string(129, 'x')));
    EXPECT_TRUE(Reference::parse("a:" + std::string(128, 'x')));
    EXPECT_FALSE(Reference::parse(std::string(300, 'a')));
}

TEST(Reference, ErrorsNameTheTextAndTheForm) {
    const auto error = Reference::parse("Debian:12").error();
    EXPECT_THAT(error.message, testing::HasSubstr("'Debian:12'"));
    EXPECT_THAT(error.hint, testing::HasSubstr("debian:12"));
}

TEST(Reference, CandidatesFollowTheSearchList) {
    const auto names = candidates("app:1", {"quay.io", "lab.example:5000"});
    ASSERT_TRUE(names);
    ASSERT_EQ(names->size(), 2U);
    EXPECT_EQ((*names)[0].text(), "quay.io/app:1");
    EXPECT_EQ((*names)[1].text(), "lab.example:5000/app:1");
    EXPECT_EQ(candidates("gcr.io/app", {"quay.io"})->front().text(), "gcr.io/app:latest");
    EXPECT_EQ(candidates("app", {})->front().text(), "docker.io/library/app:latest");
}

TEST(Reference, CandidatesBlameWhatTheUserWrote) {
    EXPECT_THAT(candidates("App", {"quay.io"}).error().message, testing::HasSubstr("'App'"));
}

} // namespace
} // namespace strata::image
