#include "container/runtime.hpp"

#include "container/cgroups/cgroup.hpp"
#include "container/kernel/procfs.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/lifecycle/create.hpp"
#include "container/lifecycle/foreground.hpp"
#include "container/lifecycle/placement.hpp"
#include "container/process/hooks.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/prctl.h>

namespace strata::container {
namespace {

Status status_of(const StateStore& store, const State& state) {
    if (state.pid == 0) {
        return Status::creating;
    }
    if (process_start_time(state.pid) != state.start_time) {
        return Status::stopped;
    }
    if (::access(store.fifo_path(state.id).c_str(), F_OK) == 0) {
        return Status::created;
    }
    return Cgroup(state.cgroup_paths).is_frozen() ? Status::paused : Status::running;
}

Error wrong_status(const Container& container, std::string_view action) {
    return Error{"cannot " + std::string(action) + " container " + container.state.id + ": it is " +
                 std::string(status_name(container.status))};
}

// Until the process is dead; by its pidfd, for it is not this process's child.
void wait_for_end(const State& state) {
    const FileDescriptor pidfd(sys::pidfd_open(state.pid));
    pollfd wait{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    while (pidfd && process_start_time(state.pid) == state.start_time && ::poll(&wait, 1, 1000) <= 0) {
    }
}

// A pidfd of the container's process, and of no other that got its number since.
Result<FileDescriptor> open_process(const State& state) {
    FileDescriptor pidfd(sys::pidfd_open(state.pid));
    if (!pidfd || process_start_time(state.pid) != state.start_time) {
        return fail("container " + state.id + " is not running");
    }
    return pidfd;
}

} // namespace

bool is_rootless() {
    if (::geteuid() != 0) {
        return true;
    }
    // Root of a user namespace that does not map every ID is root of no host.
    const auto map = read_text_at(AT_FDCWD, "/proc/self/uid_map");
    return map && map->find("4294967295") == std::string::npos;
}

std::string default_root() {
    const char* runtime_directory = std::getenv("XDG_RUNTIME_DIR");
    return is_rootless() && runtime_directory != nullptr ? std::string(runtime_directory) + "/strata"
                                                         : "/run/strata";
}

Runtime::Runtime(RuntimeOptions options) : options_(std::move(options)), store_(options_.root) {}

Result<void> Runtime::create(const std::string& id, const CreateOptions& options) {
    const auto created = create_container(*this, id, options, StartAt::fifo, false);
    return created ? Result<void>{} : std::unexpected(created.error());
}

Result<void> Runtime::start(const std::string& id) {
    const auto container = find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    const auto configured = config(id);
    if (container->status != Status::created || !configured) {
        return std::unexpected(configured ? wrong_status(*container, "start") : configured.error());
    }
    const std::string path = store_.fifo_path(id);
    const FileDescriptor fifo(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    ::unlink(path.c_str()); // whoever starts, starts it once
    if (!fifo || ::write(fifo.get(), "", 1) != 1) {
        return fail_errno("start", "container " + id);
    }
    // The last reader goes when the program begins, or when the process ends.
    pollfd wait{.fd = fifo.get(), .events = 0, .revents = 0};
    while (::poll(&wait, 1, -1) < 0 && errno == EINTR) {
    }
    run_late_hooks(configured->hooks.poststart, "poststart",
                   dump(state_document(container->state, Status::running)));
    return {};
}

Result<int> Runtime::run(const std::string& id, const CreateOptions& options, const RunOptions& how) {
    auto signals = how.detach ? Result<ForwardedSignals>(fail("")) : ForwardedSignals::block();
    if (!signals && !how.detach) {
        return std::unexpected(signals.error());
    }
    if (!how.detach && how.subreaper) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
    auto creation = create_container(*this, id, options, StartAt::channel, !how.detach);
    if (!creation) {
        return std::unexpected(creation.error());
    }
    if (auto started = creation->channel.send(Word::start); !started) {
        return std::unexpected(started.error());
    }
    run_late_hooks(creation->config.hooks.poststart, "poststart",
                   dump(state_document(creation->state, Status::running)));
    if (how.detach) {
        return 0;
    }
    auto status =
        stay_with(creation->state.pid, creation->pidfd.get(), *signals, std::move(creation->terminal));
    if (status && !how.keep) {
        if (auto destroyed = destroy({creation->state, Status::stopped}); !destroyed) {
            return std::unexpected(destroyed.error());
        }
    }
    return status;
}

Result<Container> Runtime::find(const std::string& id) const {
    auto state = store_.load(id);
    if (!state) {
        return std::unexpected(state.error());
    }
    const Status status = status_of(store_, *state);
    return Container{std::move(*state), status};
}

Result<Container> Runtime::find_live(const std::string& id, std::string_view action) const {
    auto container = find(id);
    if (container && (container->status == Status::stopped || container->status == Status::creating)) {
        return std::unexpected(wrong_status(*container, action));
    }
    return container;
}

std::vector<Container> Runtime::list() const {
    std::vector<Container> containers;
    for (const auto& id : store_.list()) {
        if (auto container = find(id)) {
            containers.push_back(std::move(*container));
        }
    }
    return containers;
}

Result<void> Runtime::kill(const std::string& id, const KillOptions& options) {
    const auto container = find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    const Cgroup cgroup(container->state.cgroup_paths);
    if (options.all) {
        return cgroup.signal_all(options.signal);
    }
    if (container->status == Status::stopped || container->status == Status::creating) {
        return std::unexpected(wrong_status(*container, "kill"));
    }
    const auto pidfd = open_process(container->state);
    if (!pidfd) {
        return std::unexpected(pidfd.error());
    }
    if (sys::pidfd_send_signal(pidfd->get(), options.signal) != 0) {
        return fail_errno("kill", "container " + id);
    }
    // A frozen process would keep the signal for later.
    if (options.signal == SIGKILL && container->status == Status::paused) {
        return cgroup.freeze(false);
    }
    return {};
}

Result<void> Runtime::destroy(const Container& container) {
    const auto configured = config(container.state.id);
    if (auto destroyed = destroy_container(store_, container.state); !destroyed) {
        return destroyed;
    }
    if (configured) {
        run_late_hooks(configured->hooks.poststop, "poststop",
                       dump(state_document(container.state, Status::stopped)));
    }
    return {};
}

Result<void> Runtime::remove(const std::string& id, bool force) {
    auto container = find(id);
    if (!container) {
        if (!force || !check_id(id)) {
            return force && container.error().code == ENOENT ? Result<void>{}
                                                             : std::unexpected(container.error());
        }
        return store_.exists(id) ? store_.remove(id) : Result<void>{};
    }
    const bool removable = container->status == Status::stopped || container->status == Status::created;
    if (!removable && !force) {
        return fail(wrong_status(*container, "delete").message, "kill it first, or use --force");
    }
    if (container->status != Status::stopped && container->status != Status::creating) {
        const Cgroup cgroup(container->state.cgroup_paths);
        if (const auto pidfd = open_process(container->state)) {
            sys::pidfd_send_signal(pidfd->get(), SIGKILL);
        }
        if (container->status == Status::paused) {
            (void)cgroup.freeze(false);
        }
        wait_for_end(container->state);
    }
    return destroy(*container);
}

Result<void> Runtime::pause(const std::string& id) {
    const auto container = find_live(id, "pause");
    if (!container) {
        return std::unexpected(container.error());
    }
    return container->status == Status::paused ? std::unexpected(wrong_status(*container, "pause"))
                                               : Cgroup(container->state.cgroup_paths).freeze(true);
}

Result<void> Runtime::resume(const std::string& id) {
    const auto container = find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    return container->status != Status::paused ? std::unexpected(wrong_status(*container, "resume"))
                                               : Cgroup(container->state.cgroup_paths).freeze(false);
}

Result<void> Runtime::update(const std::string& id, const Resources& resources,
                             const std::optional<IntelRdt>& rdt) {
    auto container = find_live(id, "update");
    if (!container) {
        return std::unexpected(container.error());
    }
    if (auto updated = update_placement(container->state, resources); !updated || !rdt) {
        return updated;
    }
    auto updated = update_rdt(container->state, *rdt);
    return updated ? store_.save(container->state) : updated;
}

Result<std::vector<pid_t>> Runtime::processes(const std::string& id) const {
    const auto container = find_live(id, "list the processes of");
    return container ? Cgroup(container->state.cgroup_paths).processes() : std::unexpected(container.error());
}

Result<Config> Runtime::config(const std::string& id) const {
    const auto state = store_.load(id);
    if (!state) {
        return std::unexpected(state.error());
    }
    // The copy that was made at the creation; relative paths are the bundle's.
    const auto text = read_text_at(AT_FDCWD, store_.config_path(id));
    return text ? parse_config(*text, state->bundle) : std::unexpected(text.error());
}

Result<void> Runtime::wait(const std::string& id) const {
    const auto container = find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    if (container->status != Status::stopped) {
        wait_for_end(container->state);
    }
    return {};
}

} // namespace strata::container
