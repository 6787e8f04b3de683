#include "container/lifecycle/create.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "container/cgroups/host.hpp"
#include "container/isolation/id_maps.hpp"
#include "container/isolation/net_devices.hpp"
#include "container/isolation/sysctl.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/lifecycle/init.hpp"
#include "container/lifecycle/placement.hpp"
#include "container/process/attributes.hpp"
#include "container/process/console.hpp"
#include "container/process/hooks.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace strata::container {
namespace {

// The work of the creator while the process sets itself up.
class Creator {
public:
    Creator(const Runtime& runtime, const CreateOptions& options, InitPlan& plan, Placement& placement)
        : runtime_(runtime), options_(options), plan_(plan), placement_(placement) {}

    // Until the process is ready to start.
    Result<Creation> create(Channel channel);

    [[nodiscard]] const State& state() const { return plan_.state; }

private:
    Result<void> start_process();
    Result<void> serve_process();
    Result<void> place_process();
    Result<void> run_creator_hooks();
    Result<void> send_listener(const std::string& number);
    Result<void> finish();
    void give_up();

    const Runtime& runtime_;
    const CreateOptions& options_;
    InitPlan& plan_;
    Placement& placement_;
    Channel channel_;
    FileDescriptor pidfd_;
    pid_t pid_ = 0;
    bool born_inside_ = false; // the unified hierarchy's group
};

Result<void> Creator::start_process() {
    const auto scope = PidNamespaceScope::enter(plan_.joined);
    if (!scope) {
        return std::unexpected(scope.error());
    }
    // The user namespace first, since all others belong to it; its root makes them.
    std::uint64_t flags = 0;
    for (const int flag : {CLONE_NEWUSER, CLONE_NEWPID}) {
        flags |= plan_.config.has_new(flag) ? static_cast<std::uint64_t>(flag) : 0;
    }
    auto entrance = placement_.prepare(plan_.state);
    if (!entrance) {
        return std::unexpected(entrance.error());
    }
    plan_.entrance = std::move(*entrance);
    int pidfd = -1;
    const auto birth = plan_.entrance.clone(flags, SIGCHLD, &pidfd);
    pid_ = birth.pid;
    born_inside_ = birth.born_inside;
    if (pid_ < 0) {
        return fail_errno("make", "the container's process", errno,
                          errno == EPERM ? "without root, linux.namespaces must have a new user namespace"
                                         : "");
    }
    if (pid_ == 0) {
        channel_.close();
        become_init(plan_);
    }
    pidfd_.reset(pidfd);
    plan_.channel.close();
    return {};
}

Result<void> Creator::place_process() {
    if (auto made = placement_.make(pid_, plan_.state, born_inside_); !made) {
        return made;
    }
    // A user namespace's devices are not its own to use.
    return placement_.limit(runtime_.options().rootless || plan_.config.has_new(CLONE_NEWUSER));
}

Result<void> Creator::run_creator_hooks() {
    if (auto moved = move_net_devices(pid_, plan_.config.net_devices); !moved) {
        return moved;
    }
    const std::string state = dump(state_document(plan_.state, Status::creating));
    if (auto ran = run_hooks(plan_.config.hooks.prestart, "prestart", state); !ran) {
        return ran;
    }
    return run_hooks(plan_.config.hooks.create_runtime, "createRuntime", state);
}

// The seccomp agent gets the listener and, in JSON, the container process's state.
Result<void> Creator::send_listener(const std::string& number) {
    const FileDescriptor listener(sys::pidfd_getfd(pidfd_.get(), std::atoi(number.c_str())));
    if (!listener) {
        return fail_errno("take", "the seccomp listener");
    }
    const auto agent = connect_socket(plan_.config.seccomp->listener_path, "the seccomp agent's socket");
    if (!agent) {
        return std::unexpected(agent.error());
    }
    const Json document{{"ociVersion", plan_.state.version},
                        {"fds", {"seccompFd"}},
                        {"pid", pid_},
                        {"metadata", plan_.config.seccomp->listener_metadata},
                        {"state", state_document(plan_.state, Status::creating)}};
    return send_descriptor(agent->get(), listener.get(), dump(document));
}

Result<void> Creator::serve_process() {
    if (plan_.config.has_new(CLONE_NEWUSER)) {
        if (auto mapped = write_id_maps(pid_, plan_.config.uid_mappings, plan_.config.gid_mappings);
            !mapped) {
            return mapped;
        }
        if (auto sent = channel_.send(Word::ids_mapped); !sent) {
            return sent;
        }
    }
    plan_.state.pid = pid_;
    if (auto placed = place_process(); !placed) {
        return placed;
    }
    if (const auto& score = plan_.config.process->oom_score_adj) {
        if (auto set = set_oom_score(pid_, *score); !set) {
            return set;
        }
    }
    if (auto sent = channel_.send(Word::in_cgroup, std::to_string(pid_) + " " + placement_.made_by_systemd());
        !sent) {
        return sent;
    }
    while (true) {
        const auto message = channel_.receive();
        if (!message) {
            return std::unexpected(message.error());
        }
        if (message->word == Word::ready) {
            return {};
        }
        const bool hooks = message->word == Word::namespaces_ready;
        auto done = hooks ? run_creator_hooks() : send_listener(message->text);
        done = done ? channel_.send(hooks ? Word::hooks_done : Word::listener_sent) : done;
        if (!done) {
            return done;
        }
    }
}

Result<void> Creator::finish() {
    plan_.state.start_time = process_start_time(pid_).value_or(0);
    if (auto saved = runtime_.store().save(plan_.state); !saved) {
        return saved;
    }
    return announce(pid_, pidfd_.get(), options_.pid_file, options_.pidfd_socket);
}

void Creator::give_up() {
    if (pid_ > 0) {
        sys::pidfd_send_signal(pidfd_.get(), SIGKILL);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
}

Result<Creation> Creator::create(Channel channel) {
    channel_ = std::move(channel);
    Result<void> done = start_process();
    done = done ? placement_.begin() : done;
    done = done ? serve_process() : done;
    done = done ? finish() : done;
    if (!done) {
        give_up();
        return std::unexpected(done.error());
    }
    return Creation{.state = plan_.state,
                    .config = std::move(plan_.config),
                    .pidfd = std::move(pidfd_),
                    .channel = std::move(channel_),
                    .terminal = {}};
}

Result<void> check_preserved(int count) {
    for (int fd = 3; fd < 3 + count; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0) {
            return fail("--preserve-fds: descriptor " + std::to_string(fd) + " is not open");
        }
    }
    return {};
}

// Sockets that a service manager passes on (sd_listen_fds(3)) come right after the standard streams. Their
// number.
int inherit_sockets(Process& process) {
    const char* listen = std::getenv("LISTEN_FDS");
    const int count = listen != nullptr ? std::max(0, std::atoi(listen)) : 0;
    if (count > 0) {
        process.env.push_back("LISTEN_FDS=" + std::to_string(count));
        process.env.emplace_back("LISTEN_PID=1");
    }
    return count;
}

Result<FileDescriptor> make_fifo(const std::string& path) {
    if (::mkfifo(path.c_str(), 0600) != 0) {
        return fail_errno("make", path);
    }
    // For reading and writing: so that it neither blocks nor ends before the start.
    FileDescriptor fifo(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    return fifo ? Result<FileDescriptor>(std::move(fifo)) : fail_errno("open", path);
}

// Where the terminal's master goes; `served` gets the other end if the caller serves it.
Result<FileDescriptor> open_console(const Config& config, const CreateOptions& options, bool serve,
                                    FileDescriptor& served) {
    const bool terminal = config.process->terminal;
    if (!terminal) {
        return options.console_socket.empty()
                   ? Result<FileDescriptor>{}
                   : fail("--console-socket is for a container with process.terminal");
    }
    if (!options.console_socket.empty()) {
        return connect_socket(options.console_socket, "console socket");
    }
    if (!serve) {
        return fail(
            "process.terminal needs --console-socket when the runtime does not stay to serve the terminal");
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("make", "a pair of sockets");
    }
    served.reset(ends[0]);
    return FileDescriptor(ends[1]);
}

// Of what the configuration asks, all that can be refused before anything is made.
Result<void> fill_plan(InitPlan& plan, const CreateOptions& options) {
    if (!plan.config.process) {
        return fail("config.json: process is missing, and there is nothing to run without it");
    }
    if (plan.config.intel_rdt) {
        if (const auto mounted = resctrl_of_host(); !mounted) {
            return std::unexpected(mounted.error());
        }
    }
    plan.preserved_fds = options.preserved_fds + inherit_sockets(*plan.config.process);
    if (auto checked = check_preserved(plan.preserved_fds); !checked) {
        return checked;
    }
    if (auto checked = check_sysctls(plan.config); !checked) {
        return checked;
    }
    if (auto checked = check_labels(*plan.config.process); !checked) {
        return checked;
    }
    if (plan.config.seccomp) {
        auto program = compile_seccomp(*plan.config.seccomp);
        if (!program) {
            return std::unexpected(program.error());
        }
        plan.seccomp = std::move(*program);
    }
    if (auto raised = raise_hard_limits(plan.config.process->rlimits); !raised) {
        return raised;
    }
    auto joined = open_namespaces(plan.config);
    if (!joined) {
        return std::unexpected(joined.error());
    }
    plan.joined = std::move(*joined);
    auto root = prepare_root(plan.config);
    if (!root) {
        return std::unexpected(root.error());
    }
    plan.root = std::move(*root);
    plan.pivot = options.pivot;
    plan.new_keyring = options.new_keyring;
    return {};
}

Result<Creation> create_reserved(const Runtime& runtime, const std::string& id, const CreateOptions& options,
                                 StartAt start, bool serve_terminal, InitPlan& plan) {
    const auto host = detect_cgroup_host();
    if (!host) {
        return std::unexpected(host.error());
    }
    auto placement = Placement::plan(runtime.options(), *host, plan.config, id);
    if (!placement) {
        return std::unexpected(placement.error());
    }
    plan.cgroup_host = &*host;
    plan.cgroup = &placement->cgroup();
    plan.state = first_state(id, plan.config, options.bundle, placement->cgroup());
    FileDescriptor served;
    auto console = open_console(plan.config, options, serve_terminal, served);
    auto ends = Channel::make();
    auto fifo = start == StartAt::fifo ? make_fifo(runtime.store().fifo_path(id)) : Result<FileDescriptor>{};
    auto saved = runtime.store().save(plan.state);
    saved = saved ? save_config(runtime, id, options.bundle) : saved;
    for (const Error* error : {console ? nullptr : &console.error(), ends ? nullptr : &ends.error(),
                               fifo ? nullptr : &fifo.error(), saved ? nullptr : &saved.error()}) {
        if (error != nullptr) {
            return std::unexpected(*error);
        }
    }
    plan.console_socket = std::move(*console);
    plan.start = std::move(*fifo);
    plan.channel = std::move(ends->second);
    auto creation = Creator(runtime, options, plan, *placement).create(std::move(ends->first));
    plan.console_socket.reset();
    if (creation && served) {
        auto terminal = receive_descriptor(served.get());
        if (!terminal) {
            return std::unexpected(terminal.error());
        }
        creation->terminal = std::move(*terminal);
    }
    return creation;
}

} // namespace

State first_state(const std::string& id, const Config& config, const std::string& bundle,
                  const Cgroup& cgroup) {
    State state{.id = id,
                .version = config.version,
                .bundle = bundle,
                .rootfs = config.root_path,
                .created = current_time(),
                .annotations = config.annotations,
                .cgroup_paths = cgroup.paths(),
                .namespaces = {},
                .owner = ::getuid()};
    for (const Namespace& entry : config.namespaces) {
        state.namespaces.emplace_back(entry.flag, entry.name);
    }
    return state;
}

Result<void> save_config(const Runtime& runtime, const std::string& id, const std::string& bundle) {
    const auto text = read_file(bundle + "/config.json", "bundle's configuration", 16 << 20);
    const std::string path = runtime.store().config_path(id);
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!text || !file) {
        return text ? fail_errno("write", path) : std::unexpected(text.error());
    }
    return write_all(file.get(), *text, path);
}

Result<void> announce(pid_t pid, int pidfd, const std::string& pid_file, const std::string& pidfd_socket) {
    if (!pid_file.empty()) {
        if (auto written = replace_passing_file(pid_file, std::to_string(pid), 0644); !written) {
            return written;
        }
    }
    if (!pidfd_socket.empty()) {
        const auto socket = connect_socket(pidfd_socket, "pidfd socket");
        return socket ? send_descriptor(socket->get(), pidfd, "pidfd") : std::unexpected(socket.error());
    }
    return {};
}

Result<void> destroy_container(const StateStore& store, const State& state) {
    if (auto removed = remove_placement(state); !removed) {
        return removed;
    }
    return store.remove(state.id);
}

Result<Creation> create_container(const Runtime& runtime, const std::string& id, const CreateOptions& options,
                                  StartAt start, bool serve_terminal) {
    if (auto checked = check_id(id); !checked) {
        return std::unexpected(checked.error());
    }
    auto config = load_config(options.bundle);
    if (!config) {
        return std::unexpected(config.error());
    }
    InitPlan plan{.config = std::move(*config)};
    if (auto filled = fill_plan(plan, options); !filled) {
        return std::unexpected(filled.error());
    }
    if (auto reserved = runtime.store().reserve(id); !reserved) {
        return std::unexpected(reserved.error());
    }
    auto creation = create_reserved(runtime, id, options, start, serve_terminal, plan);
    if (!creation) {
        plan.state.id = id;
        (void)destroy_container(runtime.store(), plan.state);
    }
    return creation;
}

} // namespace strata::container
