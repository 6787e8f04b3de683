// strata-init: the first process of a container that has --init. It starts the program, passes signals on to
// it, and reaps what the container's processes leave; its exit status is the program's.
//
//   strata-init -- PROGRAM [ARGUMENT...]
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int failed = 125, cannot_run = 126, not_found = 127, killed = 128; // the last and the signal

// Signals that tell of a fault in this very process, which no other has to hear of.
constexpr std::array faults{SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

// In a process group of its own, to which the terminal's keys go if there is one.
[[noreturn]] void become_program(char** words, const sigset_t& signals_before) {
    setpgid(0, 0);
    tcsetpgrp(STDIN_FILENO, getpgrp()); // SIGTTOU is still blocked
    sigprocmask(SIG_SETMASK, &signals_before, nullptr);
    execvp(words[0], words);
    const int code = errno;
    std::fprintf(stderr, "strata-init: cannot run %s: %s\n", words[0], std::strerror(code));
    _exit(code == ENOENT ? not_found : cannot_run);
}

// The exit status of the program if it has ended.
std::optional<int> reap(pid_t program) {
    std::optional<int> result;
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == program) {
            result = WIFSIGNALED(status) ? killed + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
    return result;
}

} // namespace

int main(int count, char** words) {
    if (count < 3 || std::strcmp(words[1], "--") != 0) {
        std::fputs("usage: strata-init -- PROGRAM [ARGUMENT...]\n", stderr);
        return failed;
    }
    sigset_t taken, before;
    sigfillset(&taken);
    std::ranges::for_each(faults, [&](int number) { sigdelset(&taken, number); });
    sigprocmask(SIG_SETMASK, &taken, &before);
    const pid_t program = fork();
    if (program < 0) {
        std::perror("strata-init: cannot make a process");
        return failed;
    }
    if (program == 0) {
        become_program(words + 2, before);
    }
    while (true) {
        siginfo_t info{};
        const int number = sigwaitinfo(&taken, &info);
        if (number == SIGCHLD) {
            if (const auto status = reap(program)) {
                return *status;
            }
        } else if (number > 0) {
            kill(program, number);
        }
    }
}
