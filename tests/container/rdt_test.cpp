// linux.intelRdt on a directory that stands in for resctrl: what the kernel makes in new directories is made
// by writing to it.
#include "container/rdt/group.hpp"
#include "container/rdt/schemata.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

namespace strata::container {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class Rdt : public testing::Test {
protected:
    Rdt() : root(fs::temp_directory_path() / ("resctrl-" + std::to_string(::getpid()))) {
        write("schemata", "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n");
        write("tasks", "");
        write("info/last_cmd_status", "ok\n");
        write("info/L3/cbm_mask", "fffff\n");
        write("info/L3/min_cbm_bits", "1\n");
        write("info/L3/num_closids", "16\n");
        write("info/MB/min_bandwidth", "10\n");
    }

    ~Rdt() override { fs::remove_all(root); }

    void write(const std::string& name, const std::string& text) const {
        fs::create_directories((root / name).parent_path());
        std::ofstream(root / name) << text;
    }

    [[nodiscard]] std::string read(const std::string& name) const {
        std::stringstream text;
        text << std::ifstream(root / name).rdbuf();
        return text.str();
    }

    [[nodiscard]] Result<RdtGroup> make(const IntelRdt& rdt) const {
        return make_rdt_group(root, rdt, "box");
    }

    fs::path root;
};

IntelRdt rdt(const std::string& clos_id, const std::string& l3 = "", const std::string& bandwidth = "",
             const std::vector<std::string>& schemata = {}, bool monitoring = false) {
    return {clos_id, l3, bandwidth, schemata, monitoring};
}

TEST_F(Rdt, AClassOfItsOwn) {
    fs::create_directory(root / "box"); // as the kernel would: with its files
    write("box/mon_groups/x", "");
    const auto group = make(rdt("", "L3:0=ff;1=f0", "MB:0=50", {"L2:0=f"}, true));
    ASSERT_TRUE(group) << group.error().message;
    EXPECT_EQ(group->directory, root / "box");
    EXPECT_TRUE(group->own);
    EXPECT_EQ(group->monitor, root / "box/mon_groups/box");
    EXPECT_THAT(read("box/schemata"), testing::StartsWith("L2:0=f\n")); // the last that was written
    ASSERT_TRUE(add_to_rdt_group(*group, 77));
    EXPECT_EQ(read("box/tasks"), "77");
    EXPECT_EQ(read("box/mon_groups/box/tasks"), "77");
    fs::remove_all(group->monitor);
    fs::remove_all(group->directory);
    EXPECT_TRUE(remove_rdt_group(*group)); // gone already
    fs::create_directory(group->directory);
    EXPECT_TRUE(remove_rdt_group(*group));
    EXPECT_FALSE(fs::exists(group->directory));
}

TEST_F(Rdt, AClassThatIsNamed) {
    const auto missing = make(rdt("gold"));
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error().message, HasSubstr("there is no class gold"));
    const auto made = make(rdt("gold", "L3:0=ff"));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_FALSE(made->own); // others may be in it
    EXPECT_EQ(read("gold/schemata"), "L3:0=ff\n");
    EXPECT_TRUE(remove_rdt_group(*made));
    EXPECT_TRUE(fs::exists(root / "gold"));
    EXPECT_TRUE(make(rdt("gold")));
}

TEST_F(Rdt, AClassThatIsThereMustBeAsItIsWanted) {
    write("gold/schemata", "L3:0=000ff;1=f\nMB:0= 50;1=100\n");
    EXPECT_TRUE(make(rdt("gold", "L3:0=ff;1=00f", "MB:0=50")));
    EXPECT_TRUE(make(rdt("gold", "", "", {"MB:1=100"})));
    for (const auto& other : {rdt("gold", "L3:0=ff;1=ff"), rdt("gold", "", "MB:0=60"), rdt("gold", "L3:2=ff"),
                              rdt("gold", "", "", {"L2:0=1"})}) {
        const auto refused = make(other);
        ASSERT_FALSE(refused);
        EXPECT_THAT(refused.error().message, HasSubstr("class gold is there already, and has not '"));
    }
    EXPECT_EQ(read("gold/schemata"), "L3:0=000ff;1=f\nMB:0= 50;1=100\n");
}

TEST_F(Rdt, TheTopmostClass) {
    const auto group = make(rdt("/"));
    ASSERT_TRUE(group);
    EXPECT_EQ(group->directory, root);
    EXPECT_FALSE(group->own);
    EXPECT_EQ(rdt_root(*group), root);
}

TEST_F(Rdt, BadNames) {
    for (const char* name : {"..", ".", "a/b", "info", "mon_groups", "mon_data"}) {
        const auto refused = make(rdt(name, "L3:0=ff"));
        ASSERT_FALSE(refused) << name;
        EXPECT_THAT(refused.error().message, HasSubstr("cannot be the name of a class"));
    }
}

TEST_F(Rdt, WhyTheKernelRefuses) {
    const RdtGroup group{.directory = root / "absent/gold", .monitor = {}, .own = false};
    write("absent/info/last_cmd_status", "Non-consecutive 1-bits in the mask f0f\nmore\n");
    const auto refused = write_schemata(group, rdt("", "L3:0=f0f"));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("write 'L3:0=f0f' to"));
    EXPECT_EQ(refused.error().hint, "the kernel: Non-consecutive 1-bits in the mask f0f");
}

TEST_F(Rdt, Statistics) {
    write("gold/schemata", "    L3:0=ff;1=f\n    MB:0=50;1=100\n");
    write("gold/mon_data/mon_L3_00/mbm_total_bytes", "500\n");
    write("gold/mon_data/mon_L3_00/mbm_local_bytes", "300\n");
    write("gold/mon_data/mon_L3_00/llc_occupancy", "4096\n");
    const auto group = make(rdt("gold"));
    ASSERT_TRUE(group);
    const Json expected{{"l3_cache_info", {{"cbm_mask", "fffff"}, {"min_cbm_bits", 1}, {"num_closids", 16}}},
                        {"l3_cache_schema_root", "L3:0=fffff;1=fffff"},
                        {"l3_cache_schema", "L3:0=ff;1=f"},
                        {"mem_bw_info", {{"min_bandwidth", 10}}},
                        {"mem_bw_schema_root", "MB:0=100;1=100"},
                        {"mem_bw_schema", "MB:0=50;1=100"},
                        {"mbm_stats", {{{"mbm_total_bytes", 500}, {"mbm_local_bytes", 300}}}},
                        {"cmt_stats", {{{"llc_occupancy", 4096}}}}};
    EXPECT_EQ(rdt_stats(*group), expected);
}

TEST(RdtSchemata, InTheOrderOfTheSpecification) {
    EXPECT_THAT(schemata_of(rdt("", "L3:0=f\nMB:0=10", "MB:0=20", {"L2:0=1", "L2:1=1"})),
                ElementsAre("L3:0=f\nMB:0=20\n", "L2:0=1\nL2:1=1\n"));
    EXPECT_THAT(schemata_of(rdt("", "L3:0=f\nMB:0=10")), ElementsAre("L3:0=f\nMB:0=10\n"));
    EXPECT_TRUE(schemata_of(rdt("gold")).empty());
}

TEST(RdtMount, IsFound) {
    EXPECT_EQ(find_resctrl("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                           "31 23 0:28 / /sys/fs/resctrl rw,relatime shared:5 - resctrl resctrl rw\n"),
              "/sys/fs/resctrl");
    EXPECT_FALSE(find_resctrl("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"));
}

} // namespace
} // namespace strata::container
