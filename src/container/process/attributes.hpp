// What a process carries besides its namespaces and its user: limits, priorities, policies, labels.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"
#include "container/kernel/procfs.hpp"

namespace strata::container {

// Of another process.
[[nodiscard]] Result<void> set_oom_score(pid_t pid, int score);

// Of the calling process, from here on. Raising hard limits takes a privilege over the host: the creator does
// it, and what it makes inherits them; setting the limits themselves is then no more than lowering.
[[nodiscard]] Result<void> raise_hard_limits(const std::vector<Rlimit>& limits);
[[nodiscard]] Result<void> set_rlimits(const std::vector<Rlimit>& limits);
[[nodiscard]] Result<void> set_scheduler(const Scheduler& scheduler);
[[nodiscard]] Result<void> set_io_priority(const IoPriority& priority);
[[nodiscard]] Result<void> set_memory_policy(const MemoryPolicy& policy);
[[nodiscard]] Result<void> set_personality(unsigned long domain);
// `cpus` as in "0-3,7".
[[nodiscard]] Result<void> set_affinity(const std::string& cpus);

// Asking for a label of AppArmor or SELinux is an error where the host has none. To be called on the host,
// for a container may not see whether it has.
[[nodiscard]] Result<void> check_labels(const Process& process);

// The labels that the next execve gives.
[[nodiscard]] Result<void> set_exec_labels(const Procfs& proc, const Process& process);

} // namespace strata::container
