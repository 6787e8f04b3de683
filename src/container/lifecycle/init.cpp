#include "container/lifecycle/init.hpp"

#include "container/isolation/id_maps.hpp"
#include "container/isolation/net_devices.hpp"
#include "container/isolation/sysctl.hpp"
#include "container/kernel/procfs.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/lifecycle/placement.hpp"
#include "container/process/attributes.hpp"
#include "container/process/console.hpp"
#include "container/process/hooks.hpp"
#include "container/process/program.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/prctl.h>

namespace strata::container {
namespace {

constexpr int exit_not_found = 127, exit_cannot_run = 126, exit_failed = 1;

// Namespaces that the process makes after its birth: in the order in which each needs the one before.
Result<void> make_namespaces(const InitPlan& plan) {
    int flags = 0;
    for (const int flag : {CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS}) {
        flags |= plan.config.has_new(flag) ? flag : 0;
    }
    if (::unshare(flags) != 0) {
        return fail_errno("make", "the container's namespaces");
    }
    if (plan.config.has_new(CLONE_NEWNET)) {
        if (auto up = switch_on_loopback(); !up) {
            return up;
        }
    }
    return plan.config.has_new(CLONE_NEWTIME) ? make_time_namespace(plan.config.time_offsets)
                                              : Result<void>{};
}

Result<void> enter_namespaces(const InitPlan& plan) {
    if (auto joined = join_namespaces(plan.joined); !joined) {
        return joined;
    }
    const bool in_user_namespace = plan.config.find_namespace(CLONE_NEWUSER) != nullptr;
    if (plan.config.has_new(CLONE_NEWUSER)) {
        if (auto mapped = plan.channel.expect(Word::ids_mapped); !mapped) {
            return std::unexpected(mapped.error());
        }
    }
    // Its root makes the rest, for what is made belongs to the maker.
    if (in_user_namespace && (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)) {
        return fail_errno("become", "the user namespace's root", errno,
                          "linux.uidMappings and gidMappings must map ID 0");
    }
    if (plan.config.has_new(CLONE_NEWUSER) && plan.config.has_new(CLONE_NEWPID)) {
        ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); // changing the user took its /proc files away
    }
    return make_namespaces(plan);
}

Result<void> enter_cgroup_namespace(InitPlan& plan) {
    const auto text = plan.channel.expect(Word::in_cgroup);
    if (!text) {
        return std::unexpected(text.error());
    }
    char* rest = nullptr;
    plan.state.pid = static_cast<pid_t>(std::strtol(text->c_str(), &rest, 10)); // as the creator sees it
    if (const std::string control_group(rest + 1); !control_group.empty()) {
        auto cgroup = cgroup_of_unit(*plan.cgroup_host, control_group);
        if (!cgroup) {
            return std::unexpected(cgroup.error());
        }
        *plan.cgroup = std::move(*cgroup);
    }
    if (plan.config.has_new(CLONE_NEWCGROUP) && ::unshare(CLONE_NEWCGROUP) != 0) {
        return fail_errno("make", "a cgroup namespace");
    }
    return {};
}

bool has_creator_hooks(const Config& config) {
    return !config.hooks.prestart.empty() || !config.hooks.create_runtime.empty() ||
           !config.net_devices.empty();
}

Result<void> wait_for_creator_hooks(const InitPlan& plan) {
    if (!has_creator_hooks(plan.config)) {
        return {};
    }
    if (auto sent = plan.channel.send(Word::namespaces_ready); !sent) {
        return sent;
    }
    auto done = plan.channel.expect(Word::hooks_done);
    return done ? Result<void>{} : std::unexpected(done.error());
}

Result<void> name_host(const Config& config) {
    if (!config.hostname.empty() && ::sethostname(config.hostname.data(), config.hostname.size()) != 0) {
        return fail_errno("set", "hostname " + config.hostname);
    }
    if (!config.domainname.empty() &&
        ::setdomainname(config.domainname.data(), config.domainname.size()) != 0) {
        return fail_errno("set", "domainname " + config.domainname);
    }
    return {};
}

// The OOM score is the creator's to set: in a user namespace this process may not lower it.
Result<void> set_attributes_of(const Config& config) {
    const Process& process = *config.process;
    if (process.scheduler) {
        if (auto set = set_scheduler(*process.scheduler); !set) {
            return set;
        }
    }
    if (process.io_priority) {
        if (auto set = set_io_priority(*process.io_priority); !set) {
            return set;
        }
    }
    if (config.memory_policy) {
        if (auto set = set_memory_policy(*config.memory_policy); !set) {
            return set;
        }
    }
    if (config.personality) {
        if (auto set = set_personality(*config.personality); !set) {
            return set;
        }
    }
    return {};
}

Result<void> set_up_terminal(const InitPlan& plan, const RootDirectory& root) {
    if (!plan.config.process->terminal) {
        ::setsid();
        return {};
    }
    auto terminal = open_terminal(root, plan.config.process->console_size);
    if (!terminal) {
        return std::unexpected(terminal.error());
    }
    const User& user = plan.config.process->user;
    (void)!::fchown(terminal->slave.get(), user.uid, static_cast<gid_t>(-1));
    if (auto bound = bind_console(root, terminal->slave.get()); !bound) {
        return bound;
    }
    if (auto sent = send_descriptor(plan.console_socket.get(), terminal->master.get(), "/dev/ptmx"); !sent) {
        return sent;
    }
    return use_terminal(terminal->slave.get());
}

void join_keyring(const InitPlan& plan) {
    if (plan.new_keyring) {
        const std::string name = "_ses." + plan.state.id;
        ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str());
    }
}

// The creator takes the listener out of this process, for the filter may forbid sending it.
Result<void> hand_over_listener(const Channel& channel, FileDescriptor listener) {
    if (auto sent = channel.send(Word::listener, std::to_string(listener.get())); !sent) {
        return sent;
    }
    auto taken = channel.expect(Word::listener_sent);
    return taken ? Result<void>{} : std::unexpected(taken.error());
}

std::string hook_state(const InitPlan& plan, Status status) {
    return dump(state_document(plan.state, status));
}

Result<Program> set_up(InitPlan& plan) {
    Config& config = plan.config;
    join_keyring(plan);
    auto proc = Procfs::open();
    if (!proc) {
        return std::unexpected(proc.error());
    }
    const CgroupView view{*plan.cgroup_host, *plan.cgroup, config.find_namespace(CLONE_NEWCGROUP) != nullptr};
    auto rootfs = Rootfs::build(config, plan.root, view);
    if (!rootfs) {
        return std::unexpected(rootfs.error());
    }
    const std::pair<const char*, std::function<Result<void>()>> steps[] = {
        {"hooks",
         [&] {
             return run_hooks(config.hooks.create_container, "createContainer",
                              hook_state(plan, Status::creating));
         }},
        {"root", [&] { return rootfs->enter(plan.pivot); }},
        {"name", [&] { return name_host(config); }},
        {"sysctl", [&] { return set_sysctls(*proc, config.sysctl); }},
        {"terminal", [&] { return set_up_terminal(plan, rootfs->directory()); }},
        {"attributes", [&] { return set_attributes_of(config); }},
        {"seal", [&] { return rootfs->seal(); }},
    };
    for (const auto& [name, step] : steps) {
        if (auto done = step(); !done) {
            return std::unexpected(done.error());
        }
    }
    const ProgramOptions options{.seccomp = plan.seccomp ? &*plan.seccomp : nullptr,
                                 .preserved_fds = plan.preserved_fds,
                                 .changeable_groups = groups_are_changeable(*proc),
                                 .on_listener = [&plan](FileDescriptor listener) {
                                     return hand_over_listener(plan.channel, std::move(listener));
                                 }};
    if (auto become = become_user(*config.process, *proc, options); !become) {
        return std::unexpected(become.error());
    }
    return find_program(*config.process);
}

// A created container must not hold what its creator was given for other purposes.
void close_strangers(const InitPlan& plan) {
    int keep[] = {plan.channel.fd(), plan.start.get()};
    std::sort(std::begin(keep), std::end(keep));
    unsigned first = 3 + static_cast<unsigned>(plan.preserved_fds);
    for (const int fd : keep) {
        if (fd >= static_cast<int>(first)) {
            if (fd > static_cast<int>(first)) {
                sys::close_range(first, static_cast<unsigned>(fd) - 1, 0);
            }
            first = static_cast<unsigned>(fd) + 1;
        }
    }
    sys::close_range(first, ~0U, 0);
}

void wait_for_start(InitPlan& plan) {
    if (!plan.start) {
        if (!plan.channel.expect(Word::start)) {
            ::_exit(exit_failed); // the creator is gone
        }
        return;
    }
    plan.channel.close();
    char byte = 0;
    while (::read(plan.start.get(), &byte, 1) < 0 && errno == EINTR) {
    }
}

void report(const std::string& message) {
    const std::string line = "strata-oci: " + message + "\n";
    (void)!::write(2, line.data(), line.size());
}

} // namespace

void become_init(InitPlan& plan) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Those who are in a joined namespace already must not look into this process, nor take its descriptors.
    const bool among_others = std::ranges::any_of(plan.joined, [](const OpenNamespace& entry) {
        return (entry.flag & (CLONE_NEWUSER | CLONE_NEWPID)) != 0;
    });
    if (among_others) {
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    Result<void> isolated = plan.entrance.enter();
    isolated = isolated ? enter_namespaces(plan) : isolated;
    isolated = isolated ? enter_cgroup_namespace(plan) : isolated;
    isolated = isolated ? wait_for_creator_hooks(plan) : isolated;
    auto program = isolated ? set_up(plan) : std::unexpected(isolated.error());
    if (!program) {
        (void)plan.channel.send_failure(program.error());
        ::_exit(exit_failed);
    }
    close_strangers(plan);
    if (!plan.channel.send(Word::ready)) {
        ::_exit(exit_failed);
    }
    wait_for_start(plan);
    if (auto ran =
            run_hooks(plan.config.hooks.start_container, "startContainer", hook_state(plan, Status::created));
        !ran) {
        report(ran.error().message);
        ::_exit(exit_failed);
    }
    // Also what later became of descriptors: none but those that were asked for go on to the program.
    sys::close_range(3 + static_cast<unsigned>(plan.preserved_fds), ~0U, CLOSE_RANGE_CLOEXEC);
    const Error error = run(*program);
    report(error.message);
    ::_exit(error.code == ENOENT ? exit_not_found : exit_cannot_run);
}

} // namespace strata::container
