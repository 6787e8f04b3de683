#include "container/cgroups/entrance.hpp"

#include "container/kernel/system_calls.hpp"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

namespace strata::container {

Result<CgroupEntrance> CgroupEntrance::open(const Cgroup& cgroup, bool optional) {
    CgroupEntrance entrance;
    entrance.optional_ = optional;
    for (const auto& [controller, directory] : cgroup.paths()) {
        if (controller == Cgroup::unified_key) {
            entrance.unified_.reset(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
            if (!entrance.unified_ && !optional) {
                return fail_errno("open", directory);
            }
            continue;
        }
        const std::string path = directory + "/tasks";
        if (std::ranges::find(entrance.tasks_, path, &std::pair<std::string, FileDescriptor>::first) !=
            entrance.tasks_.end()) {
            continue; // controllers that are mounted together
        }
        FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        if (file) {
            entrance.tasks_.emplace_back(path, std::move(file));
        } else if (!optional) {
            return fail_errno("open", path);
        }
    }
    return entrance;
}

CgroupEntrance::Birth CgroupEntrance::clone(std::uint64_t flags, int exit_signal, int* pidfd) const {
    if (unified_) {
        const pid_t pid = sys::clone_process(flags, exit_signal, pidfd, unified_.get());
        if (pid >= 0) {
            return {pid, true};
        }
    }
    return {sys::clone_process(flags, exit_signal, pidfd), false};
}

Result<void> CgroupEntrance::enter() {
    for (const auto& [path, file] : tasks_) {
        if (::write(file.get(), "0", 1) < 0 && !optional_) { // the writer
            return fail_errno("enter the cgroup by", path);
        }
    }
    tasks_.clear();
    unified_.reset();
    return {};
}

} // namespace strata::container
