#include "instance/bundle.hpp"
#include "instance/capabilities.hpp"
#include "instance/instances.hpp"
#include "instance/life_cycle.hpp"
#include "instance/log.hpp"
#include "instance/owner_lock.hpp"
#include "instance/process_table.hpp"
#include "instance/seccomp_profile.hpp"
#include "instance/unfinished_mark.hpp"
#include "instance/users.hpp"
#include "instance/volumes.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>

namespace strata::instance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class State : public testing::Test {
protected:
    State() {
        auto pattern = (std::filesystem::temp_directory_path() / "strata-state-XXXXXX").string();
        path = mkdtemp(pattern.data());
    }

    ~State() override { std::filesystem::remove_all(path); }

    [[nodiscard]] Instances open() const { return *Instances::open(path + "/state", path + "/store"); }

    std::string path;
};

TEST_F(State, FindsInstances) {
    const auto instances = open();
    const auto one = instances.create("one", {.command = {"sh"}, .labels = {{"k", "v"}}}, std::nullopt);
    ASSERT_TRUE(one) << one.error().message;
    const auto other = instances.create("", {}, std::nullopt);
    ASSERT_TRUE(other);
    EXPECT_THAT(other->name, HasSubstr("_"));
    const auto again = open(); // as another process
    EXPECT_EQ(again.find("one")->id, one->id);
    EXPECT_EQ(again.find(one->id)->settings.labels.at("k"), "v");
    EXPECT_EQ(again.find(other->id.substr(0, 10))->name, other->name);
    EXPECT_EQ(again.list()->size(), 2U);
    EXPECT_EQ(one->settings.hostname, one->short_id());
    EXPECT_THAT(again.find("absent").error().message, HasSubstr("no container 'absent'"));
    EXPECT_THAT(again.create("one", {}, std::nullopt).error().message, HasSubstr("is used by container"));
    EXPECT_FALSE(again.create("a b", {}, std::nullopt));
    ASSERT_TRUE(again.rename(*one, "two"));
    EXPECT_FALSE(again.rename(*other, "two"));
    ASSERT_TRUE(again.remove(*one));
    EXPECT_FALSE(again.find("two"));
    EXPECT_FALSE(std::filesystem::exists(again.path(*one)));
}

TEST_F(State, WhatIsGoneDoesNotRun) {
    const auto instances = open();
    auto instance = *instances.create("one", {}, std::nullopt);
    instance.status = Status::running;
    instance.pid = getpid();
    instance.pid_start = start_time(getpid());
    ASSERT_TRUE(instances.save_state(instance));
    EXPECT_EQ(instances.find("one")->status, Status::running);
    instance.pid_start -= 1; // another process has the number now
    ASSERT_TRUE(instances.save_state(instance));
    EXPECT_EQ(instances.find("one")->status, Status::exited);
    EXPECT_EQ(instances.find("one")->exit_code, 137);
}

TEST_F(State, WhatOthersWereKilledAtIsFinished) {
    const auto one = *open().create("one", {}, std::nullopt);
    const auto half = path + "/state/containers/half";
    const auto mark = [&](const std::string& id) { return path + "/state/unfinished/" + id; };
    std::filesystem::create_directories(half + "/upper");
    for (const auto& id :
         {std::string("half"), one.id}) { // being made; being removed, with its row still there
        std::ofstream file(mark(id));
    }
    const auto busy = *UnfinishedMark::set(path + "/state", "busy"); // whose owner lives
    const auto instances = open();
    EXPECT_FALSE(std::filesystem::exists(half));
    EXPECT_FALSE(std::filesystem::exists(mark("half")));
    EXPECT_FALSE(std::filesystem::exists(mark(one.id)));
    EXPECT_TRUE(std::filesystem::exists(mark("busy")));
    EXPECT_TRUE(instances.find("one"));
    EXPECT_TRUE(std::filesystem::exists(instances.path(one, "upper")));
}

// One who found the mark before it was cleared waits for its owner, who may have it for as long as a
// container runs.
TEST_F(State, ClearedMarksAreNobodys) {
    const auto instances = open();
    auto mark = UnfinishedMark::set(path + "/state", "it");
    ASSERT_TRUE(mark);
    const FileDescriptor found(::open((path + "/state/unfinished/it").c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(is_owned(found));
    mark->clear();
    EXPECT_FALSE(is_owned(found));
    EXPECT_TRUE(UnfinishedMark::set(path + "/state", "it"));
}

TEST_F(State, LooksAtLocksWithoutTakingThem) {
    const auto open_file = [&] {
        return FileDescriptor(::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    };
    auto owner = open_file();
    const auto other = open_file();
    EXPECT_FALSE(is_owned(other));
    ASSERT_TRUE(own(owner));
    EXPECT_TRUE(is_owned(other));
    EXPECT_FALSE(own(other));
    std::jthread waiting([&] { wait_for_owner(other); });
    owner.reset();
    waiting.join();
    EXPECT_FALSE(is_owned(other));
    EXPECT_TRUE(own(other));
}

TEST_F(State, ManyProcesses) {
    static_cast<void>(open());
    constexpr int makers = 4, each = 10;
    std::vector<pid_t> children;
    for (int i = 0; i < makers; ++i) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            bool done = true;
            for (int j = 0; j < each; ++j) {
                const auto own_state = Instances::open(path + "/state", path + "/store");
                done = done && own_state && own_state->create("", {}, std::nullopt);
            }
            _exit(done ? 0 : 1);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(open().list()->size(), static_cast<std::size_t>(makers * each));
}

TEST_F(State, ManyAtOneTime) {
    static_cast<void>(open()); // makes the files
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                const auto instances = open();
                for (int j = 0; j < 10; ++j) {
                    ASSERT_TRUE(instances.create("", {}, std::nullopt));
                }
            });
        }
    }
    EXPECT_EQ(open().list()->size(), 40U);
}

TEST_F(State, Volumes) {
    const auto instances = open();
    ASSERT_TRUE(need_volume(instances, "data"));
    EXPECT_EQ(need_volume(instances, "data")->path, find_volume(instances, "data")->path);
    EXPECT_FALSE(need_volume(instances, "../data"));
    EXPECT_EQ(need_volume(instances, "")->name.size(), 64U);
    ASSERT_TRUE(instances.create("one", {.mounts = {{.type = "volume", .source = "data", .target = "/d"}}},
                                 std::nullopt));
    EXPECT_THAT(remove_volume(instances, "data").error().message, HasSubstr("container one"));
}

TEST_F(State, SettingsSurvive) {
    Settings settings{
        .command = {"a", "b\n\xff"}, .ports = {{.host = 1, .container = 2}}, .limits = {.cpus = 1.5}};
    const auto again = settings_from_text(to_text(settings));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->command[0], "a");
    EXPECT_EQ(again->ports[0].container, 2);
    EXPECT_EQ(again->limits.cpus, 1.5);
    EXPECT_FALSE(settings_from_text("{"));
    EXPECT_FALSE(settings_from_text(R"({"command":7})"));
}

TEST_F(State, Logs) {
    const auto file = path + "/log";
    const auto lines = [&](const LogRange& range, std::int64_t files = 3) {
        std::vector<std::string> texts;
        read_log(file, files, range,
                 [&](const LogLine& line) { texts.push_back(line.stream + ":" + line.text); });
        return texts;
    };
    {
        LogWriter log(file, 0, 1);
        log.write("stdout", "one\ntw");
        log.write("stderr", "bad \xff\xc3\xa9\"\\\t\n");
        log.write("stdout", "o\nrest");
        log.flush();
    }
    EXPECT_THAT(lines({}), ElementsAre("stdout:one\n", "stderr:bad \xEF\xBF\xBD\xc3\xa9\"\\\t\n",
                                       "stdout:two\n", "stdout:rest"));
    EXPECT_THAT(lines({.last = 1}), ElementsAre("stdout:rest"));
    EXPECT_TRUE(lines({.until = "1999"}).empty());
    std::ofstream(file, std::ios::app) << R"({"log":"cut sho)"; // as a monitor leaves it that is killed
    EXPECT_EQ(lines({}).size(), 4U);
    std::filesystem::remove(file);
    LogWriter small(file, 300, 3);
    for (int i = 0; i < 20; ++i) {
        small.write("stdout", "line " + std::to_string(i) + "\n");
    }
    EXPECT_EQ(lines({}).back(), "stdout:line 19\n");
    EXPECT_LT(lines({}).size(), 20U);
    EXPECT_TRUE(std::filesystem::exists(file + ".2"));
    EXPECT_FALSE(std::filesystem::exists(file + ".3"));
}

TEST_F(State, Users) {
    std::filesystem::create_directories(path + "/etc");
    std::ofstream(path + "/etc/passwd")
        << "root:x:0:0::/root:\nme:x:7:8::/home/me:\nbad\nhuge:x:99999999999:1::/:\n";
    std::ofstream(path + "/etc/group") << "a:x:8:\nb:x:9:me,other\nc:x:10:notme\n";
    const FileDescriptor root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const auto user = [&](const std::string& text) { return resolve_user(root.get(), text, {}); };
    EXPECT_EQ(user("")->home, "/root");
    EXPECT_EQ(user("me")->uid, 7U);
    EXPECT_THAT(user("me")->groups, ElementsAre(9U));
    EXPECT_EQ(user("7")->home, "/home/me");
    EXPECT_EQ(user("me:c")->gid, 10U);
    EXPECT_EQ(user("1234:55")->gid, 55U);
    EXPECT_THAT(resolve_user(root.get(), "1", {"b", "77"})->groups, ElementsAre(9U, 77U));
    for (const char* text : {"you", "me:nobody", "-1", "4294967295", "99999999999", "huge"}) {
        EXPECT_FALSE(user(text)) << text;
    }
    // The file is hostile, as is where it is.
    std::filesystem::remove(path + "/etc/passwd");
    std::filesystem::create_symlink("/proc/self/environ", path + "/etc/passwd");
    EXPECT_FALSE(user("root"));
}

TEST(Capabilities, AreDockersByDefault) {
    EXPECT_EQ(effective_capabilities({}, {})->size(), 14U);
    EXPECT_THAT(*effective_capabilities({"cap_chown"}, {"ALL"}), ElementsAre("CAP_CHOWN"));
    EXPECT_EQ(effective_capabilities({"ALL"}, {})->size(), all_capabilities().size());
    EXPECT_EQ(effective_capabilities({}, {"KILL"})->size(), 13U);
    EXPECT_FALSE(effective_capabilities({"NONSENSE"}, {}));
}

TEST(SeccompProfile, OpensWhatCapabilitiesAreFor) {
    const auto names = [](const std::vector<std::string>& capabilities) {
        std::set<std::string> allowed;
        const auto profile = default_seccomp_profile(capabilities);
        for (const auto& rule : profile["syscalls"]) {
            if (rule["action"] == "SCMP_ACT_ALLOW" && !rule.contains("args")) {
                allowed.insert(rule["names"].begin(), rule["names"].end());
            }
        }
        return allowed;
    };
    const auto plain = names({});
    EXPECT_GT(plain.size(), 350U);
    for (const char* name : {"read", "openat2", "futex_wait", "clone"}) {
        EXPECT_EQ(plain.contains(name), std::string_view(name) != "clone") << name;
    }
    for (const char* name : {"mount", "bpf", "keyctl", "io_uring_setup", "kexec_load", "init_module",
                             "unshare", "setns", "open_by_handle_at", "userfaultfd", "reboot", "chroot"}) {
        EXPECT_FALSE(plain.contains(name)) << name;
    }
    EXPECT_TRUE(names({"CAP_SYS_CHROOT"}).contains("chroot"));
    EXPECT_TRUE(names({"CAP_SYS_ADMIN"}).contains("mount"));
    EXPECT_TRUE(names({"CAP_SYS_ADMIN"}).contains("clone"));
}

TEST(Bundle, HasTheDefaults) {
    Instance instance{.id = "abc",
                      .settings = {.command = {"sh"}, .environment = {"PATH=/x"}, .hostname = "h"}};
    const auto text = bundle_config(instance, {.root = "/r"});
    ASSERT_TRUE(text);
    const auto config = Json::parse(*text);
    EXPECT_EQ(config["root"]["path"], "/r");
    EXPECT_EQ(config["process"]["args"], Json::array({"sh"}));
    EXPECT_THAT(config["process"]["env"].get<std::vector<std::string>>(),
                ElementsAre("HOSTNAME=h", "HOME=/", "PATH=/x"));
    EXPECT_EQ(config["process"]["capabilities"]["bounding"].size(), 14U);
    EXPECT_FALSE(config["process"]["capabilities"].contains("inheritable"));
    EXPECT_EQ(config["linux"]["resources"]["devices"][0]["allow"], false);
    EXPECT_GE(config["linux"]["maskedPaths"].size(), 12U);
    EXPECT_TRUE(config["linux"].contains("seccomp"));
    instance.settings.privileged = true;
    const auto open = Json::parse(*bundle_config(instance, {.root = "/r"}));
    EXPECT_FALSE(open["linux"].contains("maskedPaths"));
    EXPECT_FALSE(open["linux"].contains("seccomp"));
}

TEST(Signals, ByNameAndNumber) {
    EXPECT_EQ(*parse_signal("SIGTERM"), SIGTERM);
    EXPECT_EQ(*parse_signal("kill"), SIGKILL);
    EXPECT_EQ(*parse_signal("15"), 15);
    EXPECT_EQ(*parse_signal("SIGRTMIN+3"), SIGRTMIN + 3);
    for (const char* text : {"", "0", "-9", "999", "SIGNONE", "15x"}) {
        EXPECT_FALSE(parse_signal(text)) << text;
    }
}

} // namespace
} // namespace strata::instance
