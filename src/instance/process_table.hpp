// Processes of the host, told apart from others that get their number later by when they began:
// proc_pid_stat(5).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace strata::instance {

// Clock ticks after boot; 0 when there is no such process, or it has ended and waits for its parent.
[[nodiscard]] std::int64_t start_time(std::int64_t pid);

[[nodiscard]] inline bool is_alive(std::int64_t pid, std::int64_t start) {
    return pid > 0 && start != 0 && start_time(pid) == start;
}

// How a process ended that need not be this one's child, as waitpid(2) gives it; `process` is a pidfd that
// has told that it did. None if the kernel does not say.
[[nodiscard]] std::optional<int> end_status(std::int64_t pid, int process);

struct ProcessEntry {
    std::int64_t pid = 0, parent = 0;
    unsigned uid = 0;
    std::string command{};
};

// The processes of the PID namespace that `pid` is in, by the host's numbers.
[[nodiscard]] std::vector<ProcessEntry> processes_beside(std::int64_t pid);

} // namespace strata::instance
