#include "instance/attachment.hpp"

#include "base/atomic_file.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

namespace strata::instance {
namespace {

constexpr int gone = -1, left = -2;
constexpr char detach_keys[] = {'\x10', '\x11'}; // Ctrl-P, Ctrl-Q

// The user's terminal in raw mode, put back at the end.
class RawTerminal {
public:
    explicit RawTerminal(bool wanted) : active_(wanted && tcgetattr(STDIN_FILENO, &before_) == 0) {
        if (active_) {
            termios raw = before_;
            cfmakeraw(&raw);
            tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        }
    }

    ~RawTerminal() {
        if (active_) {
            tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
        }
    }

    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    termios before_{};
    bool active_;
};

class Carrier {
public:
    Carrier(int socket, const AttachOptions& options) : socket_(socket), options_(options) {
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGWINCH);
        if (options.forward) {
            for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
                sigaddset(&signals, number);
            }
        }
        sigprocmask(SIG_BLOCK, &signals, &before_);
        signals_ = FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC));
    }

    ~Carrier() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

    Carrier(const Carrier&) = delete;
    Carrier& operator=(const Carrier&) = delete;

    int run() {
        const RawTerminal raw(options_.terminal && options_.input);
        resize();
        bool reads_input = options_.input;
        while (true) {
            std::array<pollfd, 3> files{pollfd{socket_, POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0},
                                        pollfd{reads_input ? STDIN_FILENO : -1, POLLIN, 0}};
            if (poll(files.data(), files.size(), -1) < 0 && errno != EINTR) {
                return gone;
            }
            if (files[0].revents != 0) {
                if (const auto code = take_packet()) {
                    return *code;
                }
            }
            if (files[1].revents != 0) {
                take_signal();
            }
            if (files[2].revents != 0) {
                reads_input = give_input();
                if (detached_) {
                    return left;
                }
            }
        }
    }

private:
    std::optional<int> take_packet() const {
        std::array<char, longest_packet> buffer{};
        const auto size = recv(socket_, buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) {
            return std::nullopt;
        }
        if (size <= 0) {
            return gone;
        }
        const std::string_view data(buffer.data() + 1, static_cast<std::size_t>(size) - 1);
        switch (static_cast<Packet>(buffer[0])) {
        case Packet::output: static_cast<void>(write_all(STDOUT_FILENO, data, "standard output")); break;
        case Packet::error: static_cast<void>(write_all(STDERR_FILENO, data, "standard error")); break;
        case Packet::exit: return data.empty() ? gone : static_cast<unsigned char>(data[0]);
        default: break;
        }
        return std::nullopt;
    }

    void take_signal() const {
        signalfd_siginfo info{};
        if (read(signals_.get(), &info, sizeof info) != sizeof info) {
            return;
        }
        if (info.ssi_signo == SIGWINCH) {
            resize();
        } else {
            const char number = static_cast<char>(info.ssi_signo);
            static_cast<void>(send_packet(socket_, Packet::signal, {&number, 1}));
        }
    }

    // False at the end of the input.
    bool give_input() {
        std::array<char, longest_packet / 2> buffer{};
        const auto size = read(STDIN_FILENO, buffer.data(), buffer.size());
        if (size < 0) {
            return errno == EINTR || errno == EAGAIN;
        }
        if (size == 0) {
            static_cast<void>(send_packet(socket_, Packet::end));
            return false;
        }
        std::string data(buffer.data(), static_cast<std::size_t>(size));
        if (options_.terminal) {
            data = without_keys(data);
        }
        return detached_ || data.empty() || send_packet(socket_, Packet::input, data);
    }

    // Holds Ctrl-P back until it is known that Ctrl-Q does not follow.
    std::string without_keys(const std::string& data) {
        std::string result;
        for (const char c : data) {
            if (held_ && c == detach_keys[1]) {
                detached_ = true;
                return result;
            }
            if (held_) {
                result += detach_keys[0];
            }
            held_ = c == detach_keys[0];
            if (!held_) {
                result += c;
            }
        }
        return result;
    }

    void resize() const {
        winsize size{};
        if (options_.terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
            const char data[] = {static_cast<char>(size.ws_row & 0xFF), static_cast<char>(size.ws_row >> 8),
                                 static_cast<char>(size.ws_col & 0xFF), static_cast<char>(size.ws_col >> 8)};
            static_cast<void>(send_packet(socket_, Packet::resize, {data, sizeof data}));
        }
    }

    int socket_;
    AttachOptions options_;
    sigset_t before_{};
    FileDescriptor signals_{};
    bool held_ = false, detached_ = false;
};

} // namespace

bool send_packet(int socket, Packet kind, std::string_view data) {
    std::string packet(1, static_cast<char>(kind));
    packet += data;
    ssize_t sent = 0;
    while ((sent = send(socket, packet.data(), packet.size(), MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return sent >= 0;
}

std::optional<int> hear_exit_code(int socket) {
    std::array<char, longest_packet> buffer{};
    while (true) {
        const auto size = recv(socket, buffer.data(), buffer.size(), 0);
        if (size == 0 || (size < 0 && errno != EINTR)) {
            return std::nullopt;
        }
        if (size > 1 && static_cast<Packet>(buffer[0]) == Packet::exit) {
            return static_cast<unsigned char>(buffer[1]);
        }
    }
}

int carry_streams(int socket, const AttachOptions& options) { return Carrier(socket, options).run(); }

} // namespace strata::instance
