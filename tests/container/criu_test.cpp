// What CRIU is told and what it says: the wire format, its log, and which mounts are none of its business.
#include "container/criu/outside.hpp"
#include "container/criu/service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::container {
namespace {

using testing::ElementsAre;

TEST(Message, IsWrittenAsTheEncodingSays) {
    MessageWriter inner, message;
    inner.text(1, "key");
    message.number(1, 1);
    message.number(34, 300);
    message.message(23, inner);
    const std::string expected("\x08\x01\x90\x02\xAC\x02\xBA\x01\x05\x0A\x03key", 14);
    EXPECT_EQ(message.bytes(), expected);
}

TEST(Message, IsRead) {
    const std::string bytes("\x08\x02\x10\x01\x22\x02\x08\x2A\x31\x01\x02\x03\x04\x05\x06\x07\x08", 17);
    const auto message = MessageReader::parse(bytes);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->number(1), 2U);
    EXPECT_EQ(message->number(2), 1U);
    EXPECT_EQ(message->message(4).number(1), 42U);
    EXPECT_EQ(message->text(4), "\x08\x2A");
    EXPECT_EQ(message->number(3), std::nullopt);
    EXPECT_EQ(message->message(3).number(1), std::nullopt);
}

TEST(Message, ThatEndsEarlyIsRefused) {
    for (const std::string_view bytes :
         {"\x08", "\x0A\x05tex", "\x0D\x01\x02", "\x0A\xFF\xFF\xFF\xFF\x0F", "\x0B"}) {
        EXPECT_FALSE(MessageReader::parse(bytes)) << bytes.size();
    }
    EXPECT_FALSE(MessageReader::parse(std::string(1, '\x08') + std::string(11, '\xFF')));
}

TEST(CriuLog, TheFirstErrorThatMatters) {
    EXPECT_EQ(first_error("(00.1) Error (criu/util.c:642): exited, status=1\n"
                          "(00.2)      1: Error (criu/files-reg.c:2259): Can't open file count\n"
                          "(00.3) Error (criu/cr-restore.c:2537): Restoring FAILED.\n"),
              "Error (criu/files-reg.c:2259): Can't open file count");
    EXPECT_EQ(first_error("all is well\n"), "");
}

Mount bind(const std::string& destination, const std::string& source, const std::string& option) {
    return {.destination = destination,
            .type = "none",
            .source = source,
            .options = {option},
            .uid_mappings = {},
            .gid_mappings = {}};
}

Mount made(const std::string& destination, const std::string& type) {
    return {.destination = destination,
            .type = type,
            .source = type,
            .options = {},
            .uid_mappings = {},
            .gid_mappings = {}};
}

Config config_with(std::vector<Mount> mounts) {
    Config config;
    config.mounts = std::move(mounts);
    config.masked_paths = {"/proc/version", "/data/secret"};
    return config;
}

constexpr auto mountinfo = "20 1 8:1 /images/one / rw - ext4 /dev/sda1 rw\n"
                           "21 20 0:30 / /proc rw - proc proc rw\n"
                           "22 21 0:30 /sys /proc/sys ro - proc proc rw\n"
                           "23 21 0:5 /null /proc/version rw - devtmpfs dev rw\n"
                           "24 20 0:31 / /dev rw - tmpfs tmpfs rw\n"
                           "25 24 0:32 / /dev/pts rw - devpts devpts rw\n"
                           "26 24 0:32 /0 /dev/console rw - devpts devpts rw\n"
                           "27 20 8:1 /home/my\\040data /data rw - ext4 /dev/sda1 rw\n"
                           "28 27 8:2 / /data/below rw - ext4 /dev/sdb rw\n"
                           "29 27 0:33 / /data/secret ro - tmpfs tmpfs ro\n"
                           "30 20 0:26 /pod/c /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

TEST(CriuOutside, WhatWasBoundAndWhatComesFromTheHost) {
    const auto config =
        config_with({made("/proc", "proc"), made("/dev", "tmpfs"), made("/dev/pts", "devpts"),
                     bind("/data/", "/home/my data", "rbind"), made("/sys/fs/cgroup", "cgroup")});
    EXPECT_THAT(find_outside_mounts(mountinfo, config), ElementsAre("/proc/version", "/data", "/data/below"));
}

TEST(CriuOutside, TheConfigurationTellsTheSources) {
    const auto config =
        config_with({bind("/data/", "/new/place", "rbind"), bind("/data/below/deep", "/elsewhere", "bind"),
                     made("/sys/fs/cgroup", "cgroup")});
    const Cgroup cgroup(std::map<std::string, std::string>{{"memory", "/sys/fs/cgroup/memory/c"}});
    EXPECT_EQ(source_of_mount("/proc/version", config, cgroup), "/dev/null");
    EXPECT_EQ(source_of_mount("/data", config, cgroup), "/new/place");
    EXPECT_EQ(source_of_mount("/data/below", config, cgroup), "/new/place/below");
    EXPECT_EQ(source_of_mount("/data/below/deep", config, cgroup), "/elsewhere");
    EXPECT_EQ(source_of_mount("/sys/fs/cgroup/memory", config, cgroup), "/sys/fs/cgroup/memory/c");
    EXPECT_EQ(source_of_mount("/dev/fuse", config, cgroup), "/dev/fuse");
    EXPECT_FALSE(source_of_mount("/volume", config, cgroup));
}

} // namespace
} // namespace strata::container
