#include "instance/rootless/keeper.hpp"

#include "base/atomic_file.hpp"
#include "base/pipe.hpp"
#include "instance/process_table.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace strata::instance {
namespace {

void lock(const FileDescriptor& file, int operation) {
    while (flock(file.get(), operation) != 0 && errno == EINTR) {
    }
}

// Until nobody is in the namespace, and nobody is about to be.
[[noreturn]] void keep(const FileDescriptor& entering, const FileDescriptor& members) {
    while (true) {
        lock(members, LOCK_EX);
        if (flock(entering.get(), LOCK_EX | LOCK_NB) == 0) {
            static_cast<void>(ftruncate(members.get(), 0) == 0);
            _exit(0);
        }
        lock(members, LOCK_UN);
        lock(entering, LOCK_EX); // until they are in
        lock(entering, LOCK_UN);
    }
}

[[noreturn]] void become_keeper(const std::string& directory, int ready) {
    setsid();
    const int null = open("/dev/null", O_RDWR);
    for (int target = 0; target < 3; ++target) {
        dup2(null, target);
    }
    dup2(ready, 3);
    syscall(SYS_close_range, 4, ~0U, 0);
    static_cast<void>(chdir("/"));
    prctl(PR_SET_NAME, "strata-keeper");
    for (const int number : {SIGHUP, SIGINT, SIGQUIT}) {
        std::signal(number, SIG_IGN);
    }
    const auto entering = open_entering(directory), members = open_members(directory);
    const auto text = fmt::format("{} {}\n", getpid(), start_time(getpid()));
    if (!entering || !members || ftruncate(members.get(), 0) != 0 ||
        !write_all(members.get(), text, "namespace")) {
        _exit(1);
    }
    static_cast<void>(write_all(3, "r", "pipe"));
    close(3);
    keep(entering, members);
}

} // namespace

FileDescriptor open_entering(const std::string& directory) {
    return FileDescriptor(
        open((directory + "/run/namespace.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

FileDescriptor open_members(const std::string& directory) {
    return FileDescriptor(open((directory + "/run/namespace").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

Keeper keeper_in(const FileDescriptor& members) {
    std::array<char, 64> text{};
    long long pid = 0, start = 0;
    const bool known = pread(members.get(), text.data(), text.size() - 1, 0) > 0 &&
                       std::sscanf(text.data(), "%lld %lld", &pid, &start) == 2;
    return known ? Keeper{.pid = pid, .start = start} : Keeper{};
}

Result<void> start_keeper(const std::string& directory) {
    auto pipe = make_pipe();
    if (!pipe) {
        return fail_errno("make", "a pipe");
    }
    const pid_t child = fork();
    if (child < 0) {
        return fail_errno("start", "the keeper of the user namespace");
    }
    if (child == 0) {
        if (fork() == 0) { // it is nobody's child
            become_keeper(directory, pipe->write_end.get());
        }
        _exit(0);
    }
    pipe->write_end.reset();
    wait_for_end(child);
    return read_until_closed(pipe->read_end) == "r" ? Result<void>{}
                                                    : fail("the keeper of the user namespace does not start");
}

} // namespace strata::instance
