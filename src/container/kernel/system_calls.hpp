// System calls that the C library does not wrap, and their constants where its headers are older. Each
// returns what the kernel does, with errno set.
#pragma once

#include <cstdint>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace strata::container::sys {

inline int openat2(int directory, const char* path, const open_how& how) {
    return static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how));
}

// As fork: twice returned from, and the child's memory is a copy. `pidfd`, if asked for, gets one of the
// child. `cgroup`, a directory of the unified hierarchy, is where it is born; -1: where the caller is.
inline pid_t clone_process(std::uint64_t flags, int exit_signal, int* pidfd = nullptr, int cgroup = -1) {
    clone_args arguments{};
    arguments.flags = flags | (pidfd != nullptr ? std::uint64_t{CLONE_PIDFD} : 0) |
                      (cgroup >= 0 ? std::uint64_t{CLONE_INTO_CGROUP} : 0);
    arguments.cgroup = cgroup >= 0 ? static_cast<std::uint64_t>(cgroup) : 0;
    arguments.pidfd = reinterpret_cast<std::uint64_t>(pidfd);
    arguments.exit_signal = static_cast<std::uint64_t>(exit_signal);
    return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

inline int close_range(unsigned first, unsigned last, unsigned flags) {
    return static_cast<int>(::syscall(SYS_close_range, first, last, flags));
}

inline int pidfd_open(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

inline int pidfd_getfd(int pidfd, int descriptor) {
    return static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, descriptor, 0));
}

inline int pidfd_send_signal(int pidfd, int signal) {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

inline int pivot_root(const char* new_root, const char* old_root) {
    return static_cast<int>(::syscall(SYS_pivot_root, new_root, old_root));
}

} // namespace strata::container::sys
