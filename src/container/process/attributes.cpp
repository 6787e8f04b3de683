#include "container/process/attributes.hpp"

#include <charconv>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace strata::container {

namespace {

rlimit current_limit(const Rlimit& limit) {
    rlimit now{};
    ::getrlimit(static_cast<__rlimit_resource>(limit.resource), &now);
    return now;
}

Result<void> set_limit(const Rlimit& limit, const rlimit& wanted) {
    if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &wanted) != 0) {
        return fail_errno("set", limit.name + " to " + std::to_string(limit.hard), errno,
                          "the hard limit here is " + std::to_string(current_limit(limit).rlim_max) +
                              ", which only CAP_SYS_RESOURCE can raise; ask for less");
    }
    return {};
}

} // namespace

Result<void> raise_hard_limits(const std::vector<Rlimit>& limits) {
    for (const Rlimit& limit : limits) {
        const rlimit now = current_limit(limit);
        if (limit.hard <= now.rlim_max) {
            continue;
        }
        if (auto set = set_limit(limit, {.rlim_cur = now.rlim_cur, .rlim_max = limit.hard}); !set) {
            return set;
        }
    }
    return {};
}

Result<void> set_rlimits(const std::vector<Rlimit>& limits) {
    for (const Rlimit& limit : limits) {
        if (auto set = set_limit(limit, {.rlim_cur = limit.soft, .rlim_max = limit.hard}); !set) {
            return set;
        }
    }
    return {};
}

Result<void> set_oom_score(pid_t pid, int score) {
    const auto proc = Procfs::open();
    return proc ? proc->write(std::to_string(pid) + "/oom_score_adj", std::to_string(score))
                : std::unexpected(proc.error());
}

Result<void> set_scheduler(const Scheduler& scheduler) {
    // sched_setattr(2)'s structure; the kernel's header for it clashes with the C library's.
    const struct {
        std::uint32_t size, policy;
        std::uint64_t flags;
        std::int32_t nice;
        std::uint32_t priority;
        std::uint64_t runtime, deadline, period;
    } attributes{sizeof attributes,  scheduler.policy,  scheduler.flags,    scheduler.nice,
                 scheduler.priority, scheduler.runtime, scheduler.deadline, scheduler.period};

    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
        return fail_errno("set", "process.scheduler");
    }
    return {};
}

Result<void> set_io_priority(const IoPriority& priority) {
    constexpr int class_shift = 13, one_process = 1; // ioprio_set(2); the C library has no names for them
    const int value = priority.io_class << class_shift | priority.priority;
    if (::syscall(SYS_ioprio_set, one_process, 0, value) != 0) {
        return fail_errno("set", "process.ioPriority");
    }
    return {};
}

Result<std::vector<unsigned long>> parse_number_list(const std::string& text) {
    constexpr unsigned most = 1024, bits = 8 * sizeof(unsigned long);
    std::vector<unsigned long> mask(most / bits);
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        unsigned first = 0;
        auto parsed = std::from_chars(at, end, first);
        unsigned last = first;
        if (parsed.ec == std::errc{} && parsed.ptr < end && *parsed.ptr == '-') {
            parsed = std::from_chars(parsed.ptr + 1, end, last);
        }
        const bool separated = parsed.ptr == end || *parsed.ptr == ',';
        if (parsed.ec != std::errc{} || !separated || first > last || last >= most) {
            return fail("'" + text + "' is not a list of numbers as in 0-3,7");
        }
        for (unsigned number = first; number <= last; ++number) {
            mask[number / bits] |= 1UL << number % bits;
        }
        at = parsed.ptr + (parsed.ptr < end ? 1 : 0);
    }
    return mask;
}

Result<void> set_memory_policy(const MemoryPolicy& policy) {
    auto mask = parse_number_list(policy.nodes);
    if (!mask) {
        return fail("config.json: linux.memoryPolicy.nodes: " + mask.error().message);
    }
    const bool none = policy.nodes.empty();
    const unsigned long bits = none ? 0 : mask->size() * 8 * sizeof(unsigned long);
    if (::syscall(SYS_set_mempolicy, policy.mode, none ? nullptr : mask->data(), bits) != 0) {
        return fail_errno("set", "linux.memoryPolicy");
    }
    return {};
}

Result<void> set_personality(unsigned long domain) {
    if (::personality(domain) < 0) {
        return fail_errno("set", "linux.personality");
    }
    return {};
}

Result<void> set_affinity(const std::string& cpus) {
    const auto mask = parse_number_list(cpus);
    if (!mask) {
        return fail("process.execCPUAffinity: " + mask.error().message);
    }
    if (::syscall(SYS_sched_setaffinity, 0, mask->size() * sizeof(unsigned long), mask->data()) < 0) {
        return fail_errno("set", "process.execCPUAffinity to " + cpus);
    }
    return {};
}

namespace {

bool has_selinux() { return ::access("/sys/fs/selinux/enforce", F_OK) == 0; }

bool has_apparmor() {
    const auto enabled = read_text_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled");
    return enabled && enabled->starts_with('Y');
}

} // namespace

Result<void> check_labels(const Process& process) {
    if (!process.apparmor_profile.empty() && !has_apparmor()) {
        return fail("process.apparmorProfile asks for '" + process.apparmor_profile +
                    "', and this host has no AppArmor");
    }
    if (!process.selinux_label.empty() && !has_selinux()) {
        return fail("process.selinuxLabel asks for '" + process.selinux_label +
                    "', and this host has no SELinux");
    }
    return {};
}

Result<void> set_exec_labels(const Procfs& proc, const Process& process) {
    if (!process.apparmor_profile.empty()) {
        const std::string text = "exec " + process.apparmor_profile;
        auto set = proc.write("thread-self/attr/apparmor/exec", text);
        // Kernels before 5.8 have only the file that all such modules share.
        set = set || set.error().code != ENOENT ? set : proc.write("thread-self/attr/exec", text);
        if (!set) {
            return fail("process.apparmorProfile: cannot use profile '" + process.apparmor_profile +
                            "': " + std::generic_category().message(set.error().code),
                        "load it with apparmor_parser; aa-status lists those that are");
        }
    }
    if (!process.selinux_label.empty()) {
        if (const auto set = proc.write("thread-self/attr/exec", process.selinux_label); !set) {
            return fail("process.selinuxLabel: cannot use label '" + process.selinux_label +
                            "': " + std::generic_category().message(set.error().code),
                        "the policy that is loaded must have it (seinfo lists what it has)");
        }
    }
    return {};
}

} // namespace strata::container
