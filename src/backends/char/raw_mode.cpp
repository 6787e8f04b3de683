#include "backends/char/raw_mode.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <termios.h>
#include <unistd.h>

namespace strata::backends {

namespace {

constexpr std::array ending_signals{SIGHUP,  SIGINT, SIGQUIT, SIGILL,  SIGABRT, SIGBUS, SIGFPE,
                                    SIGSEGV, SIGSYS, SIGTERM, SIGXCPU, SIGXFSZ, SIGALRM};

// What the signal handlers work on: written before they are installed, read-only while they are.
struct State {
    int terminal = -1;
    termios original{}, raw{};
    std::array<struct sigaction, ending_signals.size()> previous{};
    struct sigaction previous_stop{}, previous_continue{};
};

State state;
std::atomic<bool> entered = false;
static_assert(std::atomic<bool>::is_always_lock_free, "it is read by signal handlers");

// Async-signal-safe. From the background, tcsetattr would stop the process with SIGTTOU.
void set_mode(const termios& mode) {
    sigset_t terminal_output, before;
    sigemptyset(&terminal_output);
    sigaddset(&terminal_output, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &terminal_output, &before);
    tcsetattr(state.terminal, TCSANOW, &mode);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void restore() {
    if (entered.exchange(false)) {
        set_mode(state.original);
    }
}

// The signal comes again, to whoever handled it before, when this handler returns and it is unblocked.
void on_ending_signal(int signal) {
    const int code = errno;
    restore();
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        if (ending_signals[i] == signal) {
            sigaction(signal, &state.previous[i], nullptr);
        }
    }
    raise(signal);
    errno = code;
}

void on_stop(int) {
    const int code = errno;
    set_mode(state.original);
    raise(SIGSTOP);
    errno = code;
}

void on_continue(int) {
    const int code = errno;
    if (entered) {
        set_mode(state.raw);
    }
    errno = code;
}

struct sigaction handler(void (*function)(int)) {
    struct sigaction action{};
    action.sa_handler = function;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return action;
}

void install_handlers() {
    const auto ending = handler(on_ending_signal), stop = handler(on_stop), go_on = handler(on_continue);
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        sigaction(ending_signals[i], nullptr, &state.previous[i]);
        const auto& previous = state.previous[i];
        if ((previous.sa_flags & SA_SIGINFO) || previous.sa_handler != SIG_IGN) {
            sigaction(ending_signals[i], &ending, nullptr);
        }
    }
    sigaction(SIGTSTP, &stop, &state.previous_stop);
    sigaction(SIGCONT, &go_on, &state.previous_continue);
}

void remove_handlers() {
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        struct sigaction now{};
        sigaction(ending_signals[i], nullptr, &now);
        if (!(now.sa_flags & SA_SIGINFO) && now.sa_handler == on_ending_signal) {
            sigaction(ending_signals[i], &state.previous[i], nullptr);
        }
    }
    sigaction(SIGTSTP, &state.previous_stop, nullptr);
    sigaction(SIGCONT, &state.previous_continue, nullptr);
}

} // namespace

Result<RawMode> RawMode::enter(int terminal) {
    if (entered) {
        return fail("the terminal is in use by another console of this machine");
    }
    if (tcgetattr(terminal, &state.original) != 0) {
        return fail_errno("read the mode of", "the terminal");
    }
    state.terminal = terminal;
    state.raw = state.original;
    cfmakeraw(&state.raw);
    state.raw.c_oflag |= OPOST; // a line feed alone still begins a new line
    [[maybe_unused]] static const int registered = std::atexit(restore);
    install_handlers();
    entered = true;
    set_mode(state.raw);
    return RawMode();
}

RawMode::~RawMode() {
    if (active_) {
        restore();
        remove_handlers();
    }
}

} // namespace strata::backends
