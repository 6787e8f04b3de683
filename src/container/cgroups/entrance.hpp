// The ways into a control group for the process that is to be in it. Where another process moves it, the
// kernel waits for a grace period of RCU, some ten milliseconds; a process that is born in the group, or of
// its own goes there with its only thread, does not wait.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/cgroups/cgroup.hpp"

#include <string>
#include <utility>
#include <vector>

namespace strata::container {

class CgroupEntrance {
public:
    CgroupEntrance() = default;

    // Of a group that exists. What may not be entered (`optional`) is passed over.
    [[nodiscard]] static Result<CgroupEntrance> open(const Cgroup& cgroup, bool optional);

    // The unified hierarchy's group, for clone3(2); -1: there is none.
    [[nodiscard]] int unified() const { return unified_.get(); }

    // Into version 1's groups, by the process itself, which has one thread. Closes the ways.
    [[nodiscard]] Result<void> enter();

private:
    std::vector<std::pair<std::string, FileDescriptor>> tasks_; // by path
    FileDescriptor unified_;
    bool optional_ = false;
};

} // namespace strata::container
