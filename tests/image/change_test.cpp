#include "image/change.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::image {
namespace {

using testing::ElementsAre;

RunConfig applied(const std::vector<std::string>& instructions) {
    RunConfig run;
    for (const auto& instruction : instructions) {
        const auto done = apply_change(run, instruction);
        EXPECT_TRUE(done) << done.error().message;
    }
    return run;
}

TEST(Change, Commands) {
    EXPECT_THAT(applied({R"(CMD ["sh", "-c"])"}).command, ElementsAre("sh", "-c"));
    EXPECT_THAT(applied({"cmd echo hi"}).command, ElementsAre("/bin/sh", "-c", "echo hi"));
    EXPECT_THAT(applied({R"(ENTRYPOINT ["/init"])"}).entrypoint, ElementsAre("/init"));
}

TEST(Change, Variables) {
    EXPECT_THAT(applied({"ENV A=1 B='x y'", "ENV A=2", "ENV C some words"}).environment,
                ElementsAre("B=x y", "A=2", "C=some words"));
}

TEST(Change, Others) {
    const auto run = applied({"EXPOSE 80 53/udp", "EXPOSE 80", "VOLUME /data", R"(VOLUME ["/a b"])",
                              "USER 1:2", "WORKDIR /srv", "STOPSIGNAL SIGINT", R"(LABEL k="v w" l=m)"});
    EXPECT_THAT(run.exposed_ports, ElementsAre("80/tcp", "53/udp"));
    EXPECT_THAT(run.volumes, ElementsAre("/data", "/a b"));
    EXPECT_EQ(run.user, "1:2");
    EXPECT_EQ(run.working_directory, "/srv");
    EXPECT_EQ(run.stop_signal, "SIGINT");
    EXPECT_EQ(run.labels.at("k"), "v w");
    EXPECT_EQ(run.labels.at("l"), "m");
}

TEST(Change, RefusesOthers) {
    for (const char* text : {"", "RUN x", "CMD", "CMD [1]", "CMD [", "ENV =x", "LABEL alone"}) {
        RunConfig run;
        const auto done = apply_change(run, text);
        ASSERT_FALSE(done) << text;
        EXPECT_THAT(done.error().message, testing::HasSubstr("change '"));
    }
}

} // namespace
} // namespace strata::image
