// What systemd is told of a container: the name of its unit, and the properties that its limits become.
#include "container/cgroups/controllers.hpp"
#include "container/systemd/limits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::container {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Words = std::vector<std::string>;

SystemdUnit unit_of(const std::string& path, bool user = false) {
    return parse_systemd_unit(path, "id", user).value_or(SystemdUnit{});
}

std::string refusal_of(const std::string& path) {
    const auto unit = parse_systemd_unit(path, "id", false);
    return unit ? "" : unit.error().message;
}

TEST(SystemdUnit, Names) {
    EXPECT_EQ(unit_of("machine.slice:libpod:abc"), (SystemdUnit{"libpod-abc.scope", "machine.slice", false}));
    EXPECT_EQ(unit_of(""), (SystemdUnit{"strata-id.scope", "system.slice", false}));
    EXPECT_EQ(unit_of("", true), (SystemdUnit{"strata-id.scope", "user.slice", true}));
    EXPECT_EQ(unit_of(":docker:1"), (SystemdUnit{"docker-1.scope", "system.slice", false}));
    EXPECT_EQ(unit_of("-:docker:1").slice, "-.slice");
    EXPECT_EQ(unit_of("kubepods-burstable-pod1.slice:cri-containerd:x").slice,
              "kubepods-burstable-pod1.slice");
    EXPECT_EQ(unit_of("a.slice:unused:a-b.slice"), (SystemdUnit{"a-b.slice", "a.slice", false}));
    EXPECT_TRUE(unit_of("a.slice::a-b.slice").is_slice());
    EXPECT_EQ(unit_of("a.slice::c").name, "-c.scope"); // as runc has it
}

TEST(SystemdUnit, BadNames) {
    EXPECT_THAT(refusal_of("/machine/abc"), HasSubstr("not SLICE:PREFIX:NAME"));
    EXPECT_THAT(refusal_of("a.slice:b"), HasSubstr("not SLICE:PREFIX:NAME"));
    EXPECT_THAT(refusal_of("a.slice:b:c:d"), HasSubstr("not SLICE:PREFIX:NAME"));
    for (const char* slice :
         {"machine", ".slice", "a/b.slice", "-a.slice", "a--b.slice", "a-.slice", "a b.slice"}) {
        EXPECT_THAT(refusal_of(std::string(slice) + ":b:c"), HasSubstr("not the name of a slice")) << slice;
    }
    EXPECT_THAT(refusal_of("a.slice:b:"), HasSubstr("without a name"));
    EXPECT_THAT(refusal_of("a.slice:b:c/d"), HasSubstr("cannot be the name of a unit"));
    EXPECT_THAT(refusal_of("a.slice:b:c+d"), HasSubstr("cannot be the name of a unit"));
    EXPECT_THAT(refusal_of("a.slice:b:x--y.slice"), HasSubstr("cannot be the name of a unit"));
    EXPECT_THAT(refusal_of("a.slice:b:" + std::string(250, 'c')), HasSubstr("cannot be the name of a unit"));
}

UnitProperty property_of(std::string_view name, std::string_view text) {
    return parse_property(name, text).value_or(UnitProperty{});
}

TEST(UnitProperty, Values) {
    EXPECT_EQ(property_of("TimeoutStopUSec", "uint64 123"), number_property("TimeoutStopUSec", 123));
    EXPECT_EQ(property_of("CollectMode", "'inactive-or-failed'"),
              text_property("CollectMode", "inactive-or-failed"));
    EXPECT_EQ(property_of("CollectMode", R"("it's\n")"), text_property("CollectMode", "it's\n"));
    EXPECT_EQ(property_of("Delegate", "true"), flag_property("Delegate", true));
    EXPECT_EQ(property_of("Delegate", "boolean false"), flag_property("Delegate", false));
    EXPECT_EQ(property_of("Number", "-7"), (UnitProperty{"Number", "i", {"-7"}}));
    EXPECT_EQ(property_of("Number", "@q 7"), (UnitProperty{"Number", "q", {"7"}}));
    EXPECT_EQ(property_of("Number", "1.5"), (UnitProperty{"Number", "d", {"1.5"}}));
    EXPECT_EQ(property_of("After", "['a.service', 'b.service']"),
              (UnitProperty{"After", "as", {"2", "a.service", "b.service"}}));
    EXPECT_EQ(property_of("After", "@as []"), (UnitProperty{"After", "as", {"0"}}));
    EXPECT_EQ(property_of("After", "@as [ 'a' ]"), (UnitProperty{"After", "as", {"1", "a"}}));
    EXPECT_EQ(property_of("Cpus", "@ay [3, 1]"), (UnitProperty{"Cpus", "ay", {"2", "3", "1"}}));
    EXPECT_EQ(property_of("IOReadBandwidthMax", "[('/dev/sda', uint64 5)]"),
              (UnitProperty{"IOReadBandwidthMax", "a(st)", {"1", "/dev/sda", "5"}}));
}

TEST(UnitProperty, SecondsBecomeMicroseconds) {
    EXPECT_EQ(property_of("RuntimeMaxSec", "2"), number_property("RuntimeMaxUSec", 2'000'000));
    EXPECT_EQ(property_of("TimeoutStopSec", "1.5"), number_property("TimeoutStopUSec", 1'500'000));
    EXPECT_EQ(property_of("TimeoutStopSec", "uint64 3"), number_property("TimeoutStopUSec", 3'000'000));
    EXPECT_FALSE(parse_property("TimeoutStopSec", "'infinity'"));
    EXPECT_FALSE(parse_property("TimeoutStopSec", "-1"));
}

TEST(UnitProperty, NoValues) {
    for (const char* text : {"", "yes", "'open", "[1,", "[]", "()", "1 2", "uint64 -1", "uint64 'a'", "@as 5",
                             "{'a': 1}", "5x", "int16", "'a' b", "[1, 'a']", "[1, 1.5]"}) {
        EXPECT_FALSE(parse_property("Name", text)) << text;
    }
    for (const char* deep : {"[", "(", "@as ", "byte "}) {
        std::string text;
        for (int i = 0; i < 100'000; ++i) {
            text += deep;
        }
        EXPECT_FALSE(parse_property("Name", text)) << deep;
    }
    EXPECT_EQ(property_of("Name", "[[['a']]]"), (UnitProperty{"Name", "aaas", {"1", "1", "1", "a"}}));
    EXPECT_FALSE(parse_property("a", "1"));
    EXPECT_FALSE(parse_property("Two Words", "1"));
    EXPECT_FALSE(parse_property("Name2", "1"));
}

TEST(UnitProperty, Annotations) {
    const auto properties =
        annotated_properties({{"org.systemd.property.Delegate", "true"}, {"io.other", "x"}});
    ASSERT_TRUE(properties);
    EXPECT_THAT(*properties, ElementsAre(flag_property("Delegate", true)));
    const auto wrong = annotated_properties({{"org.systemd.property.Delegate", "perhaps"}});
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, HasSubstr("org.systemd.property.Delegate: 'perhaps'"));
}

Resources resources_of(std::string_view text) {
    return parse_resources(text, "resources").value_or(Resources{});
}

UnitProperties limits_of(std::string_view text, bool unified = true) {
    return limit_properties(resources_of(text), unified).value_or(UnitProperties{});
}

TEST(UnitLimits, Version2) {
    EXPECT_THAT(limits_of(R"({"memory": {"limit": 64, "reservation": 32, "swap": 96}, "pids": {"limit": 33},
                              "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1,9", "mems": "0"},
                              "blockIO": {"weight": 10}})"),
                ElementsAre(number_property("MemoryMax", 64), number_property("MemoryLow", 32),
                            number_property("MemorySwapMax", 32), number_property("CPUWeight", 20),
                            number_property("CPUQuotaPeriodUSec", 100'000),
                            number_property("CPUQuotaPerSecUSec", 500'000),
                            UnitProperty{"AllowedCPUs", "ay", {"2", "3", "2"}},
                            UnitProperty{"AllowedMemoryNodes", "ay", {"1", "1"}},
                            number_property("TasksMax", 33), number_property("IOWeight", 1)));
    EXPECT_TRUE(limits_of("{}").empty());
}

TEST(UnitLimits, Version1) {
    EXPECT_THAT(limits_of(R"({"memory": {"limit": 64, "reservation": 32, "swap": 96}, "cpu": {"shares": 512},
                              "blockIO": {"weight": 10}})",
                          false),
                ElementsAre(number_property("MemoryLimit", 64), number_property("CPUShares", 512),
                            number_property("BlockIOWeight", 10)));
}

TEST(UnitLimits, NoLimit) {
    EXPECT_THAT(
        limits_of(R"({"memory": {"limit": -1, "swap": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}})"),
        ElementsAre(number_property("MemoryMax", infinity), number_property("MemorySwapMax", infinity),
                    number_property("CPUQuotaPerSecUSec", infinity), number_property("TasksMax", infinity)));
    EXPECT_THAT(limits_of(R"({"memory": {"limit": 64, "swap": 64}})"),
                ElementsAre(number_property("MemoryMax", 64), number_property("MemorySwapMax", 0)));
    EXPECT_THAT(limits_of(R"({"cpu": {"idle": 1, "shares": 512}})"),
                ElementsAre(number_property("CPUWeight", 0)));
}

TEST(UnitLimits, QuotasAreRoundedUpToAPercent) {
    EXPECT_THAT(limits_of(R"({"cpu": {"quota": 33333}})"),
                ElementsAre(number_property("CPUQuotaPerSecUSec", 340'000)));
    const auto known = limit_properties(resources_of(R"({"cpu": {"quota": 10000}})"), true, 20'000);
    ASSERT_TRUE(known);
    EXPECT_THAT(*known, ElementsAre(number_property("CPUQuotaPerSecUSec", 500'000)));
}

TEST(UnitLimits, FilesOfTheUnifiedHierarchy) {
    EXPECT_THAT(
        limits_of(
            R"({"unified": {"memory.high": "5\n", "memory.swap.max": "max", "pids.max": "7", "cpu.max": "30000 60000",
                              "cpuset.cpus": "1", "cpu.weight": "9", "io.max": "8:0 rbps=1", "memory.oom.group": "1"}})"),
        ElementsAre(number_property("CPUQuotaPeriodUSec", 60'000),
                    number_property("CPUQuotaPerSecUSec", 500'000), number_property("CPUWeight", 9),
                    UnitProperty{"AllowedCPUs", "ay", {"1", "2"}}, number_property("MemoryHigh", 5),
                    number_property("MemorySwapMax", infinity), number_property("TasksMax", 7)));
    EXPECT_THAT(limits_of(R"({"unified": {"cpu.max": "max 60000"}})"),
                ElementsAre(number_property("CPUQuotaPeriodUSec", 60'000),
                            number_property("CPUQuotaPerSecUSec", infinity)));
    EXPECT_TRUE(limits_of(R"({"unified": {"memory.max": "much"}})").empty()); // the kernel refuses it
}

TEST(UnitLimits, ListsOfProcessors) {
    for (const char* list : {"a", "3-1", "1-", "1,,2", "99999"}) {
        const auto properties =
            limit_properties(resources_of(R"({"cpu": {"cpus": ")" + std::string(list) + R"("}})"), true);
        EXPECT_FALSE(properties) << list;
    }
}

TEST(UnitLimits, OfAScopeAndOfASlice) {
    const auto scope = basic_properties({"a-b.scope", "a.slice", false}, "text", 77, true);
    EXPECT_THAT(scope, testing::Contains(text_property("Slice", "a.slice")));
    EXPECT_THAT(scope, testing::Contains(UnitProperty{"PIDs", "au", {"1", "77"}}));
    EXPECT_THAT(scope, testing::Contains(flag_property("Delegate", true)));
    EXPECT_THAT(scope, testing::Contains(flag_property("DefaultDependencies", false)));
    EXPECT_THAT(scope, testing::Contains(flag_property("IOAccounting", true)));
    const auto slice = basic_properties({"a-b.slice", "a.slice", false}, "text", 77, false);
    EXPECT_THAT(slice, testing::Contains(UnitProperty{"Wants", "as", {"1", "a.slice"}}));
    EXPECT_THAT(slice, testing::Contains(flag_property("BlockIOAccounting", true)));
    for (const char* name : {"Slice", "PIDs", "Delegate"}) {
        EXPECT_THAT(slice, testing::Not(testing::Contains(testing::Field(&UnitProperty::name, name))));
    }
}

Words allowed(const std::string& rules, const std::string& policy = "strict") {
    const auto properties = device_properties(resources_of(R"({"devices": )" + rules + "}").devices);
    EXPECT_EQ(properties.front(), text_property("DevicePolicy", policy)) << rules;
    EXPECT_THAT(properties[1].words, ElementsAre("0")) << rules; // what was there before goes
    return properties.back().words;
}

TEST(UnitDevices, Lists) {
    EXPECT_THAT(allowed(R"([{"allow": false}])"), ElementsAre("0"));
    EXPECT_THAT(allowed("[]"), ElementsAre("0"));
    EXPECT_THAT(
        allowed(R"([{"allow": false}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
                            {"allow": true, "type": "b", "major": 8, "access": "r"}, {"allow": true, "type": "c", "access": "m"}])"),
        ElementsAre("3", "/dev/char/1:3", "rw", "block-8", "r", "char-*", "m"));
    EXPECT_THAT(allowed(R"([{"allow": true, "type": "a", "major": 7, "minor": 1, "access": "r"}])"),
                ElementsAre("2", "/dev/block/7:1", "r", "/dev/char/7:1", "r"));
}

TEST(UnitDevices, LaterRulesChangeEarlierOnes) {
    EXPECT_THAT(allowed(R"([{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"},
                            {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "wr"},
                            {"allow": false, "type": "c", "major": 1, "minor": 3, "access": "r"}])"),
                ElementsAre("1", "/dev/char/1:3", "w"));
    EXPECT_THAT(allowed(R"([{"allow": true, "type": "c", "major": 1, "minor": 3}, {"allow": false}])"),
                ElementsAre("0"));
    EXPECT_THAT(allowed(R"([{"allow": true}, {"allow": false}])"), ElementsAre("0"));
}

// "All but these" is no list: the program on the group says it.
TEST(UnitDevices, WhatIsNoList) {
    EXPECT_THAT(allowed(R"([{"allow": true}])", "auto"), ElementsAre("0"));
    EXPECT_THAT(
        allowed(R"([{"allow": true}, {"allow": false, "type": "c", "major": 1, "minor": 3}])", "auto"),
        ElementsAre("0"));
    EXPECT_THAT(
        allowed(
            R"([{"allow": true, "type": "c", "major": 1}, {"allow": false, "type": "c", "major": 1, "minor": 3}])",
            "auto"),
        ElementsAre("0"));
    EXPECT_THAT(allowed(R"([{"allow": true, "type": "c", "minor": 3}])", "auto"), ElementsAre("0"));
}

} // namespace
} // namespace strata::container
