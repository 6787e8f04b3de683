// The ways into a control group for the process that is to be in it. Where another process moves it, the
// kernel waits for a grace period of RCU, some ten milliseconds; a process that is born in the group, or of
// its own goes there with its only thread, does not wait.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/cgroups/cgroup.hpp"

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace strata::container {

class CgroupEntrance {
public:
    CgroupEntrance() = default;

    // Of a group that exists. What may not be entered (`optional`) is passed over.
    [[nodiscard]] static Result<CgroupEntrance> open(const Cgroup& cgroup, bool optional);

    struct Birth {
        pid_t pid;        // as of fork(2)
        bool born_inside; // the unified hierarchy's group; else another has to move it
    };

    // As sys::clone_process, into the unified hierarchy's group if there is one, and the kernel and who
    // manages it allow that.
    [[nodiscard]] Birth clone(std::uint64_t flags, int exit_signal, int* pidfd = nullptr) const;

    // Into version 1's groups, by the process itself, which has one thread. Closes the ways.
    [[nodiscard]] Result<void> enter();

private:
    std::vector<std::pair<std::string, FileDescriptor>> tasks_; // by path
    FileDescriptor unified_;
    bool optional_ = false;
};

} // namespace strata::container
