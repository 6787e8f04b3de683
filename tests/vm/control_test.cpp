// The control socket of a machine: what it answers, to friendly clients and to others.
#include "vm/control/client.hpp"
#include "vm/control/machine_name.hpp"
#include "vm/control/requests.hpp"
#include "vm/control/server.hpp"

#include "base/clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>

namespace strata::vm::control {
namespace {

using nlohmann::json;

class FakeMachine final : public Machine {
public:
    std::string engine = "interpreter";
    bool paused = false;

    [[nodiscard]] Status status() const override {
        return {.engine = engine, .cpu = "max", .cpus = 2, .memory = 4096, .paused = paused};
    }

    [[nodiscard]] std::vector<ExitsByEngine> exits() const override { return {{{"kvm", {{"port", 3}}}}, {}}; }

    [[nodiscard]] Result<void> switch_engine(const std::string& name) override {
        if (name == "steam") {
            return fail("there is no steam", "try coal");
        }
        engine = name;
        return {};
    }

    [[nodiscard]] Result<void> set_paused(bool wanted) override {
        paused = wanted;
        return {};
    }
};

json ask(std::string_view request) {
    FakeMachine machine;
    return json::parse(answer(machine, request));
}

TEST(ControlRequests, Status) {
    EXPECT_EQ(
        ask(R"({"request": "status"})"),
        json::parse(
            R"({"result": {"engine": "interpreter", "cpu": "max", "cpus": 2, "memory": 4096, "paused": false}})"));
}

TEST(ControlRequests, Stats) {
    EXPECT_EQ(ask(R"({"request": "stats"})"),
              json::parse(R"({"result": {"vcpus": [{"exits": {"kvm": {"port": 3}}}, {"exits": {}}]}})"));
}

TEST(ControlRequests, SwitchEngine) {
    EXPECT_EQ(ask(R"({"request": "switch-engine", "engine": "kvm"})")["result"]["engine"], "kvm");
    EXPECT_EQ(ask(R"({"request": "switch-engine", "engine": "steam"})"),
              json::parse(R"({"error": {"message": "there is no steam", "hint": "try coal"}})"));
}

TEST(ControlRequests, PauseAndResume) {
    FakeMachine machine;
    for (const auto& [request, paused] : {std::pair{R"({"request": "pause"})", true},
                                          {R"({"request": "pause"})", true},
                                          {R"({"request": "resume"})", false}}) {
        EXPECT_EQ(json::parse(answer(machine, request))["result"]["paused"], paused);
        EXPECT_EQ(machine.paused, paused);
    }
}

TEST(ControlRequests, ThatAreNoneGetAnError) {
    const std::string deep(4000, '[');
    for (const std::string& bad :
         {std::string(), std::string("x"), std::string("7"), std::string("[]"), std::string("{}"),
          std::string("null"), deep, std::string(R"({"request": 7})"), std::string(R"({"request": {}})"),
          std::string("{\"request\": \"\xFF\xFE\"}"), std::string(R"({"request": "switch-engine"})"),
          std::string(R"({"request": "switch-engine", "engine": ["kvm"]})"), std::string("\0\0", 2)}) {
        EXPECT_TRUE(ask(bad).contains("error")) << bad;
    }
}

TEST(MachineNames, AreOfFewCharacters) {
    for (const char* good : {"a", "web", "web-1", "0.x_Y"}) {
        EXPECT_TRUE(socket_path(good)) << good;
    }
    for (const std::string& bad :
         {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("-a"),
          std::string("a b"), std::string("a\n"), std::string(41, 'a'), std::string("a\0b", 3)}) {
        EXPECT_FALSE(socket_path(bad)) << bad;
    }
}

// A server with a runtime directory of its own, on a thread.
class ControlServer : public testing::Test {
protected:
    ControlServer() {
        std::string folder = testing::TempDir() + "strata-control.XXXXXX";
        folder_ = mkdtemp(folder.data());
        setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
        auto loop = EventLoop::create(clock_);
        loop_ = std::move(*loop);
        auto server =
            Server::create(*loop_, "web", [this](auto request) { return answer(machine_, request); });
        EXPECT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
        thread_ = std::thread([this] { loop_->run(); });
    }

    ~ControlServer() override {
        loop_->stop();
        thread_.join();
        server_.reset();
        EXPECT_FALSE(std::filesystem::exists(path())) << "the socket's name stays";
        std::filesystem::remove_all(folder_);
        unsetenv("XDG_RUNTIME_DIR");
    }

    [[nodiscard]] std::string path() const { return folder_ + "/strata/machines/web.sock"; }

    [[nodiscard]] FileDescriptor connected() const {
        FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return client;
    }

    static void say(const FileDescriptor& client, std::string_view text) {
        EXPECT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }

    // Up to `lines` lines, or what came before the server hung up.
    static std::string hear(const FileDescriptor& client, std::ptrdiff_t lines) {
        std::string heard;
        std::array<char, 4096> buffer;
        while (std::ranges::count(heard, '\n') < lines) {
            const ssize_t size = ::recv(client.get(), buffer.data(), buffer.size(), 0);
            if (size <= 0) {
                break;
            }
            heard.append(buffer.data(), static_cast<std::size_t>(size));
        }
        return heard;
    }

    Clock clock_;
    FakeMachine machine_;
    std::string folder_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

constexpr std::string_view status_request = "{\"request\": \"status\"}\n";

TEST_F(ControlServer, IsItsOwnersAlone) {
    for (const auto& [name, mode] : {std::pair{path(), 0600U}, std::pair{folder_ + "/strata", 0700U},
                                     std::pair{folder_ + "/strata/machines", 0700U}}) {
        struct stat status{};
        ASSERT_EQ(::stat(name.c_str(), &status), 0) << name;
        EXPECT_EQ(status.st_mode & 0777, mode) << name;
    }
}

TEST_F(ControlServer, AnswersItsClient) {
    const auto counts = exits("web");
    ASSERT_TRUE(counts) << counts.error().message;
    EXPECT_EQ(counts->at(0).at("kvm").at("port"), 3U);
    EXPECT_TRUE(switch_engine("web", "translator"));
    EXPECT_TRUE(is_running("web"));
    EXPECT_FALSE(is_running("mail"));
    EXPECT_TRUE(set_paused("web", true));
    EXPECT_TRUE(machine_.paused);
    const auto refused = switch_engine("web", "steam");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "there is no steam");
    EXPECT_EQ(refused.error().hint, "try coal");
}

TEST_F(ControlServer, ANameIsGivenOnce) {
    const auto second = Server::create(*loop_, "web", [](auto) { return std::string(); });
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message, "a virtual machine named web is running already");
    EXPECT_TRUE(exits("web")) << "the first goes on";
}

// A socket that its owner left behind: there, and nobody listens.
void leave_stale_socket(const std::string& path) {
    const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

TEST_F(ControlServer, OfManyThatStartAtOnceOneGetsTheName) {
    constexpr std::size_t rounds = 500, starters = 2;
    for (std::size_t round = 0; round < rounds; ++round) {
        leave_stale_socket(folder_ + "/strata/machines/race.sock");
        std::array<std::unique_ptr<EventLoop>, starters> loops;
        std::array<Result<std::unique_ptr<Server>>, starters> servers;
        std::atomic<std::size_t> ready = 0;
        {
            std::vector<std::jthread> threads;
            for (std::size_t i = 0; i < starters; ++i) {
                loops[i] = *EventLoop::create(clock_);
                threads.emplace_back([&, i] {
                    for (++ready; ready != starters;) { // without sleeping: to the microsecond together
                    }
                    servers[i] = Server::create(*loops[i], "race", [](auto) { return std::string(); });
                });
            }
        }
        EXPECT_EQ(std::ranges::count_if(servers, [](const auto& server) { return server.has_value(); }), 1);
        for (const auto& server : servers) {
            if (!server) {
                EXPECT_EQ(server.error().message, "a virtual machine named race is running already");
            }
        }
    }
}

TEST_F(ControlServer, OthersAreNotThere) {
    const auto counts = exits("mail");
    ASSERT_FALSE(counts);
    EXPECT_EQ(counts.error().message, "no virtual machine named mail is running");
}

TEST_F(ControlServer, PiecesAndSeveralAtOnce) {
    const auto client = connected();
    for (const char c : status_request) {
        say(client, {&c, 1});
    }
    EXPECT_TRUE(hear(client, 1).starts_with("{\"result\""));
    say(client, std::string(status_request) + std::string(status_request) + "x\n");
    const std::string heard = hear(client, 3);
    EXPECT_EQ(std::ranges::count(heard, '\n'), 3);
    EXPECT_NE(heard.find("error"), std::string::npos);
}

TEST_F(ControlServer, ALineWithoutEndIsHungUpOn) {
    const auto client = connected();
    say(client, std::string(10'000, 'x'));
    EXPECT_EQ(hear(client, 1), "");
    EXPECT_TRUE(exits("web")) << "others are served";
}

TEST_F(ControlServer, WhoDoesNotReadIsHungUpOn) {
    const auto client = connected();
    const std::string many(2'000, '\n'); // each gets an answer
    for (ssize_t sent = 1; sent > 0;) {
        sent = ::send(client.get(), many.data(), many.size(), MSG_NOSIGNAL);
    }
    EXPECT_TRUE(exits("web")) << "others are served";
}

TEST_F(ControlServer, TooManyAreTurnedAway) {
    std::vector<FileDescriptor> clients;
    for (int i = 0; i < 16; ++i) {
        clients.push_back(connected());
        say(clients.back(), status_request);
        EXPECT_NE(hear(clients.back(), 1), "");
    }
    EXPECT_EQ(hear(connected(), 1), "");
    clients.pop_back();
    while (!exits("web")) { // soon there is room again
    }
}

TEST(ControlFolder, OfSomebodyElseIsNotUsed) {
    std::string folder = testing::TempDir() + "strata-control.XXXXXX";
    const std::string mine = mkdtemp(folder.data());
    setenv("XDG_RUNTIME_DIR", mine.c_str(), 1);
    std::filesystem::create_directory(mine + "/strata");
    std::filesystem::permissions(mine + "/strata", std::filesystem::perms::all);
    EXPECT_FALSE(make_socket_folder()) << "others could write to it";
    std::filesystem::remove(mine + "/strata");
    std::filesystem::create_symlink(mine, mine + "/strata");
    EXPECT_FALSE(make_socket_folder()) << "it leads elsewhere";
    std::filesystem::remove_all(mine);
    unsetenv("XDG_RUNTIME_DIR");
}

} // namespace
} // namespace strata::vm::control
