// Where control groups are, on each kind of host, and what is written there.
#include "container/cgroups/cgroup.hpp"
#include "container/cgroups/controllers.hpp"

#include <gtest/gtest.h>

namespace strata::container {
namespace {

constexpr auto hybrid_mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
                               "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                               "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
                               "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
                               "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr auto hybrid_own = "9:name=systemd:/\n4:memory:/user\n1:cpu,cpuacct:/\n0::/slice\n";

TEST(CgroupHost, Hybrid) {
    const auto host = parse_cgroup_host(hybrid_mounts, hybrid_own);
    ASSERT_EQ(host.v1.size(), 3U);
    ASSERT_EQ(host.unified.size(), 1U);
    EXPECT_EQ(host.find_v1("cpuacct"), host.find_v1("cpu"));
    EXPECT_EQ(host.find_v1("memory")->own, "/user");
    EXPECT_EQ(host.find_v1("name=systemd")->mount_point, "/sys/fs/cgroup/systemd");
    EXPECT_EQ(host.unified.front().own, "/slice");
    EXPECT_EQ(host.find_v1("pids"), nullptr);
}

TEST(CgroupHost, UnifiedOnly) {
    const auto host = parse_cgroup_host("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/a\n");
    EXPECT_TRUE(host.v1.empty());
    ASSERT_EQ(host.unified.size(), 1U);
    EXPECT_EQ(host.unified.front().mount_point, "/sys/fs/cgroup");
}

TEST(CgroupPlan, AbsolutePathsAreTheHierarchies) {
    const auto cgroup = Cgroup::plan(parse_cgroup_host(hybrid_mounts, hybrid_own), "/pod/c", "id");
    ASSERT_TRUE(cgroup);
    EXPECT_EQ(cgroup->paths().at("memory"), "/sys/fs/cgroup/memory/pod/c");
    EXPECT_EQ(cgroup->paths().at("cpu"), "/sys/fs/cgroup/cpu,cpuacct/pod/c");
    EXPECT_EQ(cgroup->paths().at(""), "/sys/fs/cgroup/unified/pod/c");
}

TEST(CgroupPlan, RelativePathsAreTheCreators) {
    const auto cgroup = Cgroup::plan(parse_cgroup_host(hybrid_mounts, hybrid_own), "", "id");
    ASSERT_TRUE(cgroup);
    EXPECT_EQ(cgroup->paths().at("memory"), "/sys/fs/cgroup/memory/user/id");
    EXPECT_EQ(cgroup->paths().at(""), "/sys/fs/cgroup/unified/slice/id");
}

TEST(CgroupPlan, NoWayOut) {
    EXPECT_FALSE(Cgroup::plan(parse_cgroup_host(hybrid_mounts, hybrid_own), "/a/../../b", "id"));
}

TEST(CgroupVersion2, WeightsOfShares) {
    EXPECT_EQ(v2::weight_of_shares(2), 1U);
    EXPECT_EQ(v2::weight_of_shares(1024), 39U);
    EXPECT_EQ(v2::weight_of_shares(262144), 10000U);
    EXPECT_EQ(v2::weight_of_shares(0), 1U);
}

} // namespace
} // namespace strata::container
