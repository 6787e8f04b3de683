// Reading config.json: what is taken, and how what is refused is named.
#include "container/config/config.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <string>

namespace strata::container {
namespace {

std::string with_linux(const std::string& linux_section, const std::string& more = "") {
    return R"({"ociVersion": "1.2.0", "root": {"path": "rootfs"}, "process": {"cwd": "/", "args": ["true"]}, )" +
           more + R"("linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}])" +
           (linux_section.empty() ? "" : ", ") + linux_section + "}}";
}

std::string error_of(const std::string& text) {
    const auto config = parse_config(text, "/bundle");
    return config ? "" : config.error().message;
}

TEST(Config, SmallestOneIsTaken) {
    const auto config = parse_config(with_linux(""), "/bundle");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->root_path, "/bundle/rootfs");
    EXPECT_TRUE(config->has_new(CLONE_NEWPID));
    EXPECT_EQ(config->find_namespace(CLONE_NEWNET), nullptr);
}

TEST(Config, UnknownMembersAreIgnored) {
    EXPECT_EQ(error_of(with_linux(R"("future": {"a": [1]})", R"("vendor": 3, )")), "");
}

TEST(Config, VersionsOfTheSpecification) {
    for (const auto* version : {"1.0.0", "1.0.2-dev", "1.1.0+dev", "1.3.0"}) {
        EXPECT_EQ(error_of(R"({"ociVersion": ")" + std::string(version) +
                           R"(", "root": {"path": "/r"}, "linux": {"namespaces": [{"type": "mount"}]}})"),
                  "");
    }
    EXPECT_EQ(
        error_of(
            R"({"ociVersion": "2.0.0", "root": {"path": "/r"}, "linux": {"namespaces": [{"type": "mount"}]}})"),
        "config.json: ociVersion is '2.0.0', not a version from 1.0 to 1.3");
}

TEST(Config, ErrorsNameTheMember) {
    EXPECT_EQ(error_of("{"), "config.json: it is not valid JSON");
    EXPECT_EQ(error_of("{}"), "config.json: ociVersion is missing");
    EXPECT_EQ(error_of(with_linux(R"("cgroupsPath": 3)")), "config.json: linux.cgroupsPath is not a string");
    EXPECT_EQ(error_of(with_linux(R"("devices": [{"path": "/dev/x", "type": "q"}])")),
              "config.json: linux.devices[0].type is 'q', not one of c, u, b, p");
    EXPECT_EQ(error_of(with_linux(R"("uidMappings": [{"containerID": 0, "hostID": 4294967296, "size": 1}])")),
              "config.json: linux.uidMappings[0].hostID is larger than 4294967295");
    EXPECT_EQ(
        error_of(with_linux(R"("resources": {"unified": {"../../x": "1"}})")),
        "config.json: linux.resources.unified.../../x is not named as a file of a cgroup (controller.file)");
}

TEST(Config, PartsThatNeedOthers) {
    EXPECT_EQ(error_of(with_linux("", R"("hostname": "h", )")),
              "config.json: hostname needs a uts namespace in linux.namespaces");
    EXPECT_EQ(error_of(with_linux(R"("timeOffsets": {"boottime": {"secs": 1}})")),
              "config.json: linux.timeOffsets needs a new time namespace in linux.namespaces");
    EXPECT_EQ(error_of(with_linux(R"("seccomp": {"defaultAction": "SCMP_ACT_NOTIFY"})")),
              "config.json: linux.seccomp.listenerPath is missing, and SCMP_ACT_NOTIFY needs it");
}

TEST(Config, LimitsKeepTheirSigns) {
    const auto config = parse_config(
        with_linux(R"("resources": {"memory": {"limit": -1, "swap": 5}, "cpu": {"quota": -1}})"), "/b");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->resources.memory.limit, -1);
    EXPECT_EQ(config->resources.memory.swap, 5);
    EXPECT_EQ(config->resources.cpu.quota, -1);
    EXPECT_FALSE(config->resources.cpu.shares);
}

TEST(ProcessDocument, Capabilities) {
    const auto process = parse_process(
        R"({"cwd": "/", "args": ["a"], "capabilities": {"bounding": ["CAP_KILL"]}})", "process p");
    ASSERT_TRUE(process);
    EXPECT_EQ(process->capabilities->bounding, 1U << 5);
    const auto wrong =
        parse_process(R"({"cwd": "/", "args": ["a"], "capabilities": {"ambient": ["KILL"]}})", "process p");
    EXPECT_EQ(wrong.error().message, "process p: capabilities.ambient[0] is 'KILL', which is no capability");
}

TEST(ProcessDocument, NulInArguments) {
    const auto process = parse_process(R"({"cwd": "/", "args": ["a\u0000b"]})", "process p");
    ASSERT_FALSE(process);
    EXPECT_NE(process.error().message.find("NUL"), std::string::npos);
}

} // namespace
} // namespace strata::container
