// Another process in a running container. It is born in the container's pid namespace, hence two steps: one
// process joins the namespaces, and its sibling, born there, becomes the program.
#include "container/cgroups/entrance.hpp"
#include "container/isolation/id_maps.hpp"
#include "container/kernel/procfs.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/lifecycle/create.hpp"
#include "container/lifecycle/foreground.hpp"
#include "container/process/attributes.hpp"
#include "container/process/console.hpp"
#include "container/process/program.hpp"
#include "container/runtime.hpp"
#include "container/systemd/manager.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace strata::container {
namespace {

struct ExecPlan {
    Process process;
    const State& state;
    std::optional<SeccompProgram> seccomp{};
    std::optional<unsigned long> personality{};
    FileDescriptor container{}; // pidfd of the container's process
    FileDescriptor console_socket{};
    Channel channel{};
    CgroupEntrance entrance{};
    int preserved_fds = 0;
};

// What the joiner says behind the number of a process that was born in the unified hierarchy's group.
constexpr std::string_view born_inside = " born inside";

Result<void> join_container(const ExecPlan& plan) {
    int flags = 0;
    for (const auto& [flag, name] : plan.state.namespaces) {
        flags |= flag;
    }
    if (::setns(plan.container.get(), flags) != 0) {
        return fail_errno("join", "the namespaces of container " + plan.state.id);
    }
    // The user namespace's root, where there is one; else nothing changes.
    if ((flags & CLONE_NEWUSER) != 0 && (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)) {
        return fail_errno("become", "the root of container " + plan.state.id);
    }
    return {};
}

Result<void> set_up_terminal(const ExecPlan& plan) {
    if (!plan.process.terminal) {
        ::setsid();
        return {};
    }
    auto root = RootDirectory::open("/");
    if (!root) {
        return std::unexpected(root.error());
    }
    auto terminal = open_terminal(*root, plan.process.console_size);
    if (!terminal) {
        return std::unexpected(terminal.error());
    }
    (void)!::fchown(terminal->slave.get(), plan.process.user.uid, static_cast<gid_t>(-1));
    if (auto sent = send_descriptor(plan.console_socket.get(), terminal->master.get(), "/dev/ptmx"); !sent) {
        return sent;
    }
    return use_terminal(terminal->slave.get());
}

Result<Program> set_up(ExecPlan& plan) {
    if (auto entered = plan.entrance.enter(); !entered) {
        return std::unexpected(entered.error());
    }
    if (auto waited = plan.channel.expect(Word::in_cgroup); !waited) {
        return std::unexpected(waited.error());
    }
    if (auto terminal = set_up_terminal(plan); !terminal) {
        return std::unexpected(terminal.error());
    }
    Process& process = plan.process;
    Result<void> done;
    done = process.scheduler ? set_scheduler(*process.scheduler) : done;
    done = done && process.io_priority ? set_io_priority(*process.io_priority) : done;
    done = done && plan.personality ? set_personality(*plan.personality) : done;
    done = done && !process.final_affinity.empty() ? set_affinity(process.final_affinity) : done;
    if (!done) {
        return std::unexpected(done.error());
    }
    auto proc = Procfs::open();
    if (!proc) {
        return std::unexpected(proc.error());
    }
    const ProgramOptions options{.seccomp = plan.seccomp ? &*plan.seccomp : nullptr,
                                 .preserved_fds = plan.preserved_fds,
                                 .changeable_groups = groups_are_changeable(*proc),
                                 .on_listener = {}};
    if (auto become = become_user(process, *proc, options); !become) {
        return std::unexpected(become.error());
    }
    return find_program(process);
}

[[noreturn]] void become_program(ExecPlan& plan) {
    auto program = set_up(plan);
    if (!program) {
        (void)plan.channel.send_failure(program.error());
        ::_exit(1);
    }
    (void)plan.channel.send(Word::ready);
    if (!plan.channel.expect(Word::start)) {
        ::_exit(1);
    }
    sys::close_range(3 + static_cast<unsigned>(plan.preserved_fds), ~0U, CLOSE_RANGE_CLOEXEC);
    const Error error = run(*program);
    (void)plan.channel.send_failure(error);
    ::_exit(error.code == ENOENT ? 127 : 126);
}

// The first process: joins, and lets its sibling be born.
[[noreturn]] void become_joiner(ExecPlan& plan) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // The container's processes see this one as soon as it joins, and must not get hold of what it has open.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (auto joined = join_container(plan); !joined) {
        (void)plan.channel.send_failure(joined.error());
        ::_exit(1);
    }
    const auto [pid, inside] = plan.entrance.clone(CLONE_PARENT, 0);
    if (pid == 0) {
        become_program(plan);
    }
    if (pid < 0) {
        (void)plan.channel.send_failure(fail_errno("make", "a process in the container").error());
    }
    // This process is in the creator's pid namespace still, and so is the number.
    (void)plan.channel.send(Word::joined, std::to_string(pid) + std::string(inside ? born_inside : ""));
    ::_exit(pid < 0 ? 1 : 0);
}

// The work of the creator.
class Joining {
public:
    Joining(const ExecOptions& options, const State& state, ExecPlan& plan)
        : options_(options), state_(state), plan_(plan) {}

    // Until the program runs.
    Result<void> start(Channel channel);
    void give_up() const;

    [[nodiscard]] pid_t pid() const { return pid_; }

    [[nodiscard]] int pidfd() const { return pidfd_.get(); }

private:
    Result<void> join();
    Result<void> prepare();
    [[nodiscard]] Cgroup group() const;
    Result<void> open_cgroup();
    Result<void> enter_cgroup() const;

    const ExecOptions& options_;
    const State& state_;
    ExecPlan& plan_;
    Channel channel_;
    FileDescriptor pidfd_;
    pid_t pid_ = 0;
    bool born_inside_ = false;
};

Result<void> Joining::join() {
    const pid_t joiner = sys::clone_process(0, SIGCHLD);
    if (joiner < 0) {
        return fail_errno("make", "a process");
    }
    if (joiner == 0) {
        channel_.close();
        become_joiner(plan_);
    }
    plan_.channel.close();
    const auto joined = channel_.expect(Word::joined);
    while (::waitpid(joiner, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (!joined) {
        return std::unexpected(joined.error());
    }
    pid_ = static_cast<pid_t>(std::strtol(joined->c_str(), nullptr, 10));
    born_inside_ = joined->ends_with(born_inside);
    pidfd_.reset(sys::pidfd_open(pid_));
    return pidfd_ ? Result<void>{} : fail_errno("watch", "the process in the container");
}

Cgroup Joining::group() const {
    auto paths = state_.cgroup_paths;
    for (auto& [controller, directory] : paths) {
        directory += options_.cgroup.empty() ? "" : "/" + options_.cgroup;
    }
    return Cgroup(std::move(paths));
}

Result<void> Joining::open_cgroup() {
    if (state_.unit) {
        return {}; // it may be systemd that moves it there
    }
    auto entrance = CgroupEntrance::open(group(), ::geteuid() != 0);
    if (!entrance) {
        return std::unexpected(entrance.error());
    }
    plan_.entrance = std::move(*entrance);
    return {};
}

Result<void> Joining::enter_cgroup() const {
    if (!state_.unit) {
        return born_inside_ ? Result<void>{} : group().add_to_unified(pid_);
    }
    auto added = group().add(pid_);
    if (added) {
        return added;
    }
    auto manager = SystemdManager::open(state_.unit->user);
    return manager ? manager->attach(*state_.unit, pid_, options_.cgroup.empty() ? "" : "/" + options_.cgroup)
                   : std::unexpected(manager.error());
}

Result<void> Joining::prepare() {
    auto entered = enter_cgroup();
    if (!entered && ::geteuid() == 0) {
        return entered;
    }
    if (state_.rdt) {
        if (auto added = add_to_rdt_group(*state_.rdt, pid_); !added) {
            return added;
        }
    }
    if (const auto& score = plan_.process.oom_score_adj) {
        if (auto set = set_oom_score(pid_, *score); !set) {
            return set;
        }
    }
    if (auto sent = channel_.send(Word::in_cgroup); !sent) {
        return sent;
    }
    if (auto ready = channel_.expect(Word::ready); !ready) {
        return std::unexpected(ready.error());
    }
    return announce(pid_, pidfd_.get(), options_.pid_file, options_.pidfd_socket);
}

Result<void> Joining::start(Channel channel) {
    channel_ = std::move(channel);
    Result<void> done = open_cgroup();
    done = done ? join() : done;
    done = done ? prepare() : done;
    done = done ? channel_.send(Word::start) : done;
    if (!done) {
        return done;
    }
    // The end of the channel is the program's beginning; a message is its failure.
    auto failure = channel_.receive();
    const bool began = !failure && failure.error().code == 0 && failure.error().hint.empty();
    return began ? Result<void>{} : std::unexpected(failure.error());
}

void Joining::give_up() const {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
}

Result<void> open_console(const ExecOptions& options, ExecPlan& plan, FileDescriptor& served) {
    if (!plan.process.terminal) {
        return options.console_socket.empty() ? Result<void>{}
                                              : fail("--console-socket is for a process with a terminal");
    }
    if (!options.console_socket.empty()) {
        auto socket = connect_socket(options.console_socket, "console socket");
        if (!socket) {
            return std::unexpected(socket.error());
        }
        plan.console_socket = std::move(*socket);
        return {};
    }
    if (options.detach) {
        return fail("a detached process with a terminal needs --console-socket");
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("make", "a pair of sockets");
    }
    served.reset(ends[0]);
    plan.console_socket.reset(ends[1]);
    return {};
}

Result<void> check_status(const Container& container, const ExecOptions& options) {
    if (container.status == Status::stopped || container.status == Status::creating) {
        return fail("cannot exec in container " + container.state.id + ": it is " +
                    std::string(status_name(container.status)));
    }
    if (container.status == Status::paused && !options.ignore_paused) {
        return fail("cannot exec in container " + container.state.id + ": it is paused",
                    "resume it first, or use --ignore-paused");
    }
    return {};
}

} // namespace

Result<int> Runtime::exec(const std::string& id, const ExecOptions& options) {
    const auto container = find(id);
    const auto configured = container ? config(id) : std::unexpected(container.error());
    if (!configured) {
        return std::unexpected(configured.error());
    }
    if (auto checked = check_status(*container, options); !checked) {
        return std::unexpected(checked.error());
    }
    if (auto checked = check_labels(options.process); !checked) {
        return std::unexpected(checked.error());
    }
    if (auto raised = raise_hard_limits(options.process.rlimits); !raised) {
        return std::unexpected(raised.error());
    }
    ExecPlan plan{.process = options.process, .state = container->state};
    plan.personality = configured->personality;
    plan.preserved_fds = options.preserved_fds;
    plan.container.reset(sys::pidfd_open(container->state.pid));
    if (configured->seccomp) {
        auto program = compile_seccomp(*configured->seccomp);
        if (!program) {
            return std::unexpected(program.error());
        }
        program->notifies = false; // the agent serves the container's first process
        plan.seccomp = std::move(*program);
    }
    FileDescriptor served;
    if (auto opened = open_console(options, plan, served); !opened) {
        return std::unexpected(opened.error());
    }
    auto signals = ForwardedSignals::block();
    auto ends = Channel::make();
    if (!signals || !ends) {
        return std::unexpected(signals ? ends.error() : signals.error());
    }
    plan.channel = std::move(ends->second);
    Joining joining(options, container->state, plan);
    if (auto started = joining.start(std::move(ends->first)); !started) {
        joining.give_up();
        return std::unexpected(started.error());
    }
    if (options.detach) {
        return 0;
    }
    FileDescriptor terminal;
    if (served) {
        auto received = receive_descriptor(served.get());
        if (!received) {
            return std::unexpected(received.error());
        }
        terminal = std::move(*received);
    }
    return stay_with(joining.pid(), joining.pidfd(), *signals, std::move(terminal));
}

} // namespace strata::container
