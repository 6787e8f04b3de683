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

// The labels that the next execve gives, where the host has AppArmor or SELinux; asking for one elsewhere is
// an error.
[[nodiscard]] Result<void> set_exec_labels(const Procfs& proc, const Process& process);
[[nodiscard]] bool has_selinux();
[[nodiscard]] bool has_apparmor();

// "0-3,7" as a bit for each number; numbers up to 1023.
[[nodiscard]] Result<std::vector<unsigned long>> parse_number_list(const std::string& text);

} // namespace strata::container
