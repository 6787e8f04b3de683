// Consoles as the user on the host sees them.
#include <gtest/gtest.h>

#include "../base/loop_runner.hpp"
#include "backends/char/char.hpp"
#include "backends/char/escape_keys.hpp"
#include "base/file_descriptor.hpp"
#include "temporary_directory.hpp"

#include <arpa/inet.h>
#include <csignal>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace strata::backends {
namespace {

class Char : public testing::Test {
protected:
    void open(const std::string& spec) {
        auto opened = open_char(*runner.loop, spec, {});
        ASSERT_TRUE(opened) << opened.error().message;
        console = std::move(*opened);
        console->set_receiver([this](std::span<const std::byte> bytes) {
            const auto size = std::min(bytes.size(), capacity - received.size());
            received.append(reinterpret_cast<const char*>(bytes.data()), size);
            return size;
        });
    }

    void print(std::string_view text) { console->write(std::as_bytes(std::span(text))); }

    test::LoopRunner runner;
    TemporaryDirectory directory;
    std::unique_ptr<CharBackend> console;
    std::string received;
    std::size_t capacity = 1 << 20;
};

std::string read_available(int fd) {
    std::string text(65536, '\0');
    const auto got = ::read(fd, text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

TEST_F(Char, RefusesWhatItDoesNotKnow) {
    const auto unknown = open_char(*runner.loop, "telepathy", {});
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().hint.find("stdio"), std::string::npos);
    EXPECT_FALSE(open_char(*runner.loop, "file:/nonexistent/directory/file", {}));
    EXPECT_FALSE(open_char(*runner.loop, "socket:/nonexistent/directory/socket", {}));
    EXPECT_FALSE(open_char(*runner.loop, "socket:nowhere.invalid:port", {}));
}

TEST_F(Char, NoneSwallowsOutput) {
    open("none");
    print("into the void");
}

TEST_F(Char, AFileTakesOutput) {
    const auto path = directory / "console.log";
    write_file(path, "old content");
    open("file:" + path);
    print("line 1\n");
    print(std::string(100000, 'x'));
    console.reset();
    EXPECT_EQ(read_file(path), "line 1\n" + std::string(100000, 'x'));
}

TEST_F(Char, AUnixSocketServesOneClientAfterTheOther) {
    const auto path = directory / "console";
    open("socket:" + path);
    EXPECT_NE(console->announcement().find(path), std::string::npos);
    print("nobody hears this");
    for (const std::string name : {"first", "second"}) {
        received.clear();
        FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ASSERT_EQ(::write(client.get(), name.data(), name.size()), static_cast<ssize_t>(name.size()));
        EXPECT_TRUE(runner.run_until([&] { return received == name; }));
        print("hello " + name);
        EXPECT_EQ(read_available(client.get()), "hello " + name);
        client.reset();
        runner.settle();
    }
    console.reset();
    EXPECT_NE(access(path.c_str(), F_OK), 0) << "the socket is removed";
}

TEST_F(Char, AStaleSocketIsReplaced) {
    const auto path = directory / "console";
    {
        FileDescriptor stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    open("socket:" + path);
    EXPECT_FALSE(open_char(*runner.loop, "socket:" + path, {})) << "a live one is not";
}

TEST_F(Char, AFileInASocketsPlaceStays) {
    const auto path = directory / "notes.txt";
    write_file(path, "not a socket");
    EXPECT_FALSE(open_char(*runner.loop, "socket:" + path, {}));
    EXPECT_EQ(read_file(path), "not a socket");
}

TEST_F(Char, ATcpSocketHoldsBackWhatTheGuestDoesNotTake) {
    open("socket:127.0.0.1:0");
    const auto where = console->announcement();
    const auto port = std::stoi(where.substr(where.rfind(':') + 1));
    FileDescriptor client(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{.sin_family = AF_INET,
                        .sin_port = htons(static_cast<std::uint16_t>(port)),
                        .sin_addr = {htonl(INADDR_LOOPBACK)},
                        .sin_zero = {}};
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    capacity = 4;
    ASSERT_EQ(::write(client.get(), "12345678", 8), 8);
    EXPECT_TRUE(runner.run_until([&] { return received == "1234"; }));
    runner.settle();
    capacity = 6;
    console->resume();
    EXPECT_EQ(received, "123456");
    capacity = 100;
    console->resume();
    EXPECT_EQ(received, "12345678");
    ASSERT_EQ(::write(client.get(), "9", 1), 1);
    EXPECT_TRUE(runner.run_until([&] { return received == "123456789"; }));
}

TEST_F(Char, APeerThatDoesNotReadLosesOutputButStopsNobody) {
    open("socket:" + (directory / "console"));
    FileDescriptor client(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    (directory / "console").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    runner.settle();
    for (int i = 0; i < 1000; ++i) {
        print(std::string(10000, 'x'));
    }
    std::size_t total = 0;
    runner.run_until([&] {
        char buffer[65536];
        const auto got = ::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        total += got > 0 ? static_cast<std::size_t>(got) : 0;
        return got < 0;
    });
    EXPECT_GT(total, 1000U);
    client.reset();
    runner.settle();
    print("after the peer has gone");
}

TEST_F(Char, APtyIsATerminalForPrograms) {
    open("pty");
    const auto where = console->announcement();
    FileDescriptor terminal(
        ::open(where.substr(where.rfind(' ') + 1).c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK));
    ASSERT_TRUE(terminal);
    print("login: ");
    EXPECT_EQ(read_available(terminal.get()), "login: ");
    ASSERT_EQ(::write(terminal.get(), "root\r", 5), 5);
    EXPECT_TRUE(runner.run_until([&] { return received == "root\r"; }));
    EXPECT_EQ(read_available(terminal.get()), "") << "no echo by the pty";
}

TEST(EscapeKeys, TakesCommandsOutOfWhatIsTyped) {
    EscapeKeys keys;
    std::vector<std::byte> plain;
    auto command = EscapeKeys::Command::none;
    const auto type = [&](std::string_view text) {
        return keys.filter(std::as_bytes(std::span(text)), plain, command);
    };
    EXPECT_EQ(type("ab\1"), 3U);
    EXPECT_EQ(type("xcd"), 1U);
    EXPECT_EQ(command, EscapeKeys::Command::quit);
    EXPECT_EQ(type("\1h"), 2U);
    EXPECT_EQ(command, EscapeKeys::Command::help);
    EXPECT_EQ(type("\1\1x\1q"), 5U);
    EXPECT_EQ(command, EscapeKeys::Command::none);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(plain.data()), plain.size()), "ab\1x");
}

// The terminal tests run the backend in a child with a pseudo-terminal of its own.

// The child's whole life: it echoes in upper case what it receives, and ends by Ctrl-A x.
[[noreturn]] void run_terminal_child() {
    Clock clock;
    const auto loop = EventLoop::create(clock).value();
    int status = 3;
    {
        auto console = open_char(*loop, "stdio", {.quit = [&] {
                           status = 42;
                           loop->stop();
                       }}).value();
        console->set_receiver([&](std::span<const std::byte> bytes) {
            for (const auto byte : bytes) {
                const auto upper = static_cast<std::byte>(toupper(std::to_integer<int>(byte)));
                console->write(std::span(&upper, 1));
            }
            return bytes.size();
        });
        static constexpr std::string_view ready = "ready\n";
        console->write(std::as_bytes(std::span(ready)));
        loop->run();
    }
    _exit(status);
}

class TerminalChar : public testing::Test {
protected:
    void SetUp() override {
        int master = -1, slave = -1;
        ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
        controller.reset(master);
        terminal.reset(slave);
        ASSERT_EQ(tcgetattr(slave, &before), 0);
        child = fork();
        if (child == 0) {
            dup2(slave, STDIN_FILENO);
            dup2(slave, STDOUT_FILENO);
            run_terminal_child();
        }
        ASSERT_TRUE(see("ready"));
    }

    void TearDown() override {
        if (child > 0) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
        }
    }

    // Reads what the child prints until `text` is among it.
    bool see(const std::string& text) {
        while (seen.find(text) == std::string::npos) {
            pollfd entry{.fd = controller.get(), .events = POLLIN, .revents = 0};
            if (poll(&entry, 1, 10000) != 1) {
                return false;
            }
            seen += read_available(controller.get());
        }
        return true;
    }

    void type(std::string_view text) {
        EXPECT_EQ(::write(controller.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }

    bool is_raw() {
        termios now{};
        tcgetattr(terminal.get(), &now);
        return !(now.c_lflag & (ICANON | ECHO | ISIG));
    }

    int wait_for_child() {
        int status = 0;
        waitpid(child, &status, 0);
        child = -1;
        return status;
    }

    FileDescriptor controller, terminal;
    termios before{};
    pid_t child = -1;
    std::string seen;
};

TEST_F(TerminalChar, IsRawUntilTheEscapeKey) {
    EXPECT_TRUE(is_raw());
    type("hello\3");
    EXPECT_TRUE(see("HELLO\3")) << "Ctrl-C is the guest's";
    type("\1h");
    EXPECT_TRUE(see("Ctrl-A x"));
    type("\1x");
    const auto status = wait_for_child();
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 42);
    EXPECT_FALSE(is_raw());
}

TEST_F(TerminalChar, IsRestoredBySignals) {
    for (const int signal : {SIGTERM, SIGABRT}) {
        EXPECT_TRUE(is_raw());
        kill(child, signal);
        const auto status = wait_for_child();
        EXPECT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), signal);
        termios after{};
        tcgetattr(terminal.get(), &after);
        EXPECT_EQ(after.c_lflag, before.c_lflag);
        EXPECT_EQ(after.c_iflag, before.c_iflag);
        seen.clear();
        SetUp();
    }
}

TEST(StdioChar, ReadsPipesAndFilesToTheEnd) {
    TemporaryDirectory directory;
    write_file(directory / "input", "from a file");
    for (const bool pipe_input : {true, false}) {
        int input[2], output[2];
        ASSERT_EQ(pipe(input), 0);
        ASSERT_EQ(pipe(output), 0);
        const auto child = fork();
        if (child == 0) {
            dup2(pipe_input ? input[0] : ::open((directory / "input").c_str(), O_RDONLY), STDIN_FILENO);
            dup2(output[1], STDOUT_FILENO);
            close(input[1]);
            run_terminal_child();
        }
        close(output[1]);
        EXPECT_EQ(::write(input[1], "from a pipe", 11), 11);
        close(input[1]);
        const std::string expected = pipe_input ? "ready\nFROM A PIPE" : "ready\nFROM A FILE";
        std::string seen;
        while (seen.size() < expected.size()) {
            const auto more = read_available(output[0]);
            if (more.empty()) {
                break;
            }
            seen += more;
        }
        EXPECT_EQ(seen, expected);
        kill(child, SIGKILL); // at the end of its input it goes on
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status));
        close(input[0]);
        close(output[0]);
    }
}

} // namespace
} // namespace strata::backends
