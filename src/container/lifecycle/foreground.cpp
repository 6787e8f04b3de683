#include "container/lifecycle/foreground.hpp"

#include "base/atomic_file.hpp"
#include "container/kernel/system_calls.hpp"

#include <csignal>
#include <optional>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

namespace strata::container {
namespace {

// The user's terminal passes every key to the container's.
class RawTerminal {
public:
    RawTerminal() {
        if (::tcgetattr(0, &saved_) == 0) {
            termios raw = saved_;
            ::cfmakeraw(&raw);
            changed_ = ::tcsetattr(0, TCSANOW, &raw) == 0;
        }
    }

    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

    ~RawTerminal() {
        if (changed_) {
            ::tcsetattr(0, TCSANOW, &saved_);
        }
    }

private:
    termios saved_{};
    bool changed_ = false;
};

void copy_size(int terminal) {
    winsize size{};
    if (::ioctl(0, TIOCGWINSZ, &size) == 0) {
        ::ioctl(terminal, TIOCSWINSZ, &size);
    }
}

// Moves what is there; false at the end.
bool move_bytes(int from, int to) {
    char buffer[8192];
    const auto size = ::read(from, buffer, sizeof buffer);
    if (size <= 0) {
        return size < 0 && errno == EINTR;
    }
    return write_all(to, std::string_view(buffer, static_cast<std::size_t>(size)), "the terminal")
        .has_value();
}

int status_of(int wait_status) {
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// The status of `pid` if it ended; orphans that were left to this process are reaped beside it.
std::optional<int> reap(pid_t pid) {
    std::optional<int> ended;
    int status = 0;
    while (true) {
        const pid_t child = ::waitpid(-1, &status, WNOHANG);
        if (child <= 0) {
            return ended;
        }
        if (child == pid) {
            ended = status_of(status);
        }
    }
}

void pass_on(int signal, int pidfd, int terminal) {
    if (signal == SIGWINCH && terminal >= 0) {
        copy_size(terminal);
    } else if (signal != SIGCHLD && signal != SIGPIPE && signal != SIGURG) {
        sys::pidfd_send_signal(pidfd, signal);
    }
}

} // namespace

Result<ForwardedSignals> ForwardedSignals::block() {
    ::signal(SIGCHLD, SIG_DFL); // a caller that ignores its children would have this process ignore its own
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGTTOU, SIGTTIN, SIGTSTP}) {
        sigdelset(&all, fault);
    }
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    FileDescriptor fd(::signalfd(-1, &all, SFD_CLOEXEC));
    if (!fd) {
        return fail_errno("watch", "signals");
    }
    return ForwardedSignals(std::move(fd));
}

Result<int> stay_with(pid_t pid, int pidfd, const ForwardedSignals& signals, FileDescriptor terminal) {
    std::optional<RawTerminal> raw;
    if (terminal) {
        raw.emplace();
        copy_size(terminal.get());
    }
    pollfd watched[]{{.fd = signals.fd(), .events = POLLIN, .revents = 0},
                     {.fd = terminal.get(), .events = POLLIN, .revents = 0},
                     {.fd = terminal ? 0 : -1, .events = POLLIN, .revents = 0}};
    while (true) {
        if (::poll(watched, std::size(watched), -1) < 0 && errno != EINTR) {
            return fail_errno("wait for", "the container");
        }
        if (watched[1].revents != 0 && !move_bytes(terminal.get(), 1)) {
            watched[1].fd = -1;
        }
        if (watched[2].revents != 0 && !move_bytes(0, terminal.get())) {
            watched[2].fd = -1;
        }
        if (watched[0].revents == 0) {
            continue;
        }
        signalfd_siginfo info{};
        if (::read(signals.fd(), &info, sizeof info) != sizeof info) {
            continue;
        }
        pass_on(static_cast<int>(info.ssi_signo), pidfd, terminal.get());
        if (info.ssi_signo == SIGCHLD) {
            if (const auto status = reap(pid)) {
                while (terminal && watched[1].fd >= 0 && ::poll(&watched[1], 1, 0) > 0 &&
                       move_bytes(terminal.get(), 1)) {
                }
                return *status;
            }
        }
    }
}

} // namespace strata::container
