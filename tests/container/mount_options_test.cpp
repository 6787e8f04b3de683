#include "container/mounts/options.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace strata::container {
namespace {

Result<MountOptions> parse(std::vector<std::string> words, std::string type = "tmpfs") {
    return parse_mount_options({.destination = "/d",
                                .type = std::move(type),
                                .source = "s",
                                .options = std::move(words),
                                .uid_mappings = {},
                                .gid_mappings = {}});
}

TEST(MountOptions, LaterWordsOverrule) {
    const auto options = parse({"ro", "nosuid", "rw"});
    ASSERT_TRUE(options);
    EXPECT_EQ(options->set, std::uint64_t{MOUNT_ATTR_NOSUID});
    EXPECT_EQ(options->clear, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountOptions, RecursiveAndPlainAreApart) {
    const auto options = parse({"rbind", "rro", "noexec"}, "bind");
    ASSERT_TRUE(options);
    EXPECT_TRUE(options->recursive_bind);
    EXPECT_EQ(options->set_recursive, std::uint64_t{MOUNT_ATTR_RDONLY});
    EXPECT_EQ(options->set, std::uint64_t{MOUNT_ATTR_NOEXEC});
}

TEST(MountOptions, RelatimeIsNoRecursiveWord) {
    const auto options = parse({"relatime"});
    ASSERT_TRUE(options);
    EXPECT_EQ(options->clear, std::uint64_t{MOUNT_ATTR__ATIME});
    EXPECT_EQ(options->clear_recursive, 0U);
}

TEST(MountOptions, TheRestIsTheFileSystems) {
    const auto options = parse({"mode=755", "size=1m", "rshared", "sync", "defaults"});
    ASSERT_TRUE(options);
    EXPECT_EQ(options->data, (std::vector<std::string>{"mode=755", "size=1m"}));
    EXPECT_EQ(options->propagation, (std::vector<unsigned long>{MS_SHARED | MS_REC}));
    EXPECT_EQ(options->superblock_flags, std::vector<std::string>{"sync"});
}

TEST(MountOptions, CopyUpIsForTmpfs) { EXPECT_FALSE(parse({"tmpcopyup"}, "proc")); }

} // namespace
} // namespace strata::container
