#include "container/isolation/namespaces.hpp"

#include "container/kernel/procfs.hpp"
#include "container/kernel/system_calls.hpp"

#include <fcntl.h>
#include <sched.h>

namespace strata::container {

Result<std::vector<OpenNamespace>> open_namespaces(const Config& config) {
    std::vector<OpenNamespace> opened;
    for (const Namespace& entry : config.namespaces) {
        if (!entry.path.empty()) {
            FileDescriptor file(::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC));
            if (!file) {
                return fail_errno("open", "the " + entry.name + " namespace " + entry.path);
            }
            opened.push_back({entry.flag, entry.name, std::move(file)});
        }
    }
    return opened;
}

Result<void> join_namespaces(const std::vector<OpenNamespace>& namespaces) {
    // With the privileges over the host first; what they do not reach belongs to the user namespace that is
    // joined.
    std::vector<const OpenNamespace*> later;
    for (const OpenNamespace& entry : namespaces) {
        const bool other = entry.flag != CLONE_NEWUSER && entry.flag != CLONE_NEWPID;
        if (other && ::setns(entry.file.get(), entry.flag) != 0) {
            if (errno != EPERM) {
                return fail_errno("join", "the " + entry.name + " namespace");
            }
            later.push_back(&entry);
        }
    }
    for (const OpenNamespace& entry : namespaces) {
        if (entry.flag == CLONE_NEWUSER && ::setns(entry.file.get(), CLONE_NEWUSER) != 0) {
            return fail_errno("join", "the user namespace");
        }
    }
    for (const OpenNamespace* entry : later) {
        if (::setns(entry->file.get(), entry->flag) != 0) {
            return fail_errno("join", "the " + entry->name + " namespace");
        }
    }
    return {};
}

Result<PidNamespaceScope> PidNamespaceScope::enter(const std::vector<OpenNamespace>& namespaces) {
    for (const OpenNamespace& entry : namespaces) {
        if (entry.flag != CLONE_NEWPID) {
            continue;
        }
        FileDescriptor own(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
        if (!own || ::setns(entry.file.get(), CLONE_NEWPID) != 0) {
            return fail_errno("join", "the pid namespace");
        }
        return PidNamespaceScope(std::move(own));
    }
    return PidNamespaceScope(FileDescriptor());
}

PidNamespaceScope::~PidNamespaceScope() {
    if (own_) {
        ::setns(own_.get(), CLONE_NEWPID);
    }
}

Result<void> make_time_namespace(const std::vector<TimeOffset>& offsets) {
    if (::unshare(CLONE_NEWTIME) != 0) {
        return fail_errno("make", "a time namespace");
    }
    const FileDescriptor file(::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
    for (const TimeOffset& offset : offsets) {
        const std::string line =
            offset.clock + " " + std::to_string(offset.seconds) + " " + std::to_string(offset.nanoseconds);
        if (::write(file.get(), line.data(), line.size()) < 0) {
            return fail_errno("set", "the offset of linux.timeOffsets." + offset.clock);
        }
    }
    // unshare() is for the children only; this is for the process itself.
    const FileDescriptor made(::open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC));
    if (!made || ::setns(made.get(), CLONE_NEWTIME) != 0) {
        return fail_errno("enter", "the new time namespace");
    }
    return {};
}

} // namespace strata::container
