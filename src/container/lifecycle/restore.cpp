#include "container/cgroups/files.hpp"
#include "container/cgroups/host.hpp"
#include "container/criu/options.hpp"
#include "container/criu/outside.hpp"
#include "container/kernel/procfs.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/lifecycle/checkpoint.hpp"
#include "container/lifecycle/create.hpp"
#include "container/lifecycle/foreground.hpp"
#include "container/lifecycle/placement.hpp"
#include "container/mounts/mount.hpp"
#include "container/process/console.hpp"
#include "container/process/hooks.hpp"

#include <algorithm>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

// The work of one restore: what CRIU is asked, and what is done when it tells how far it is.
class Restorer {
public:
    Restorer(const Runtime& runtime, const CheckpointOptions& options, const CreateOptions& create,
             Config& config, State& state, Placement& placement)
        : runtime_(runtime), options_(options), create_(create), config_(config), state_(state),
          placement_(placement) {}

    // Until the container's processes run.
    Result<void> restore(const CheckpointFolder& folder, bool serve_terminal);

    // The master, if no console socket got it.
    FileDescriptor take_terminal() { return std::move(terminal_); }

private:
    Result<void> prepare_root() const;
    Result<void> name_mounts(const Outside& outside);
    Result<void> give_descriptors(const Outside& outside);
    Result<void> give_namespaces();
    Result<void> enter_cgroup(pid_t criu, MessageWriter& to);
    Result<void> follow(CriuNotification step);
    Result<void> send_terminal(FileDescriptor master);
    void inherit(FileDescriptor fd, const std::string& key);

    const Runtime& runtime_;
    const CheckpointOptions& options_;
    const CreateOptions& create_;
    Config& config_;
    State& state_;
    Placement& placement_;
    MessageWriter to_;
    std::vector<FileDescriptor> inherited_;
    FileDescriptor terminal_;
};

// A mount namespace in which CRIU, and what is mounted for it, is not seen by the host. What CRIU is to work
// in must be opened after this.
Result<void> part_mounts() {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
        return fail_errno("make", "a mount namespace for the restore");
    }
    return {};
}

// CRIU wants a mount for the root, whose parent passes no mounts on. The places of mounts are made where a
// fresh copy of the root lacks them.
Result<void> Restorer::prepare_root() const {
    const std::string& path = config_.root_path;
    if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
        return fail_errno("mount", "the container's root " + path);
    }
    auto root = RootDirectory::open(path);
    if (!root) {
        return std::unexpected(root.error());
    }
    std::vector<std::string> fresh; // file systems whose contents CRIU makes
    for (const Mount& mount : config_.mounts) {
        const bool inside = std::ranges::any_of(
            fresh, [&](const std::string& above) { return mount.destination.starts_with(above + "/"); });
        const auto options = parse_mount_options(mount);
        if (!options) {
            return std::unexpected(options.error());
        }
        struct stat source{};
        const bool directory =
            !options->bind || ::stat(mount.source.c_str(), &source) != 0 || S_ISDIR(source.st_mode);
        if (!inside) {
            if (auto made = make_mount_point(*root, mount.destination, directory); !made) {
                return std::unexpected(made.error());
            }
        }
        if (!options->bind) {
            fresh.push_back(mount.destination);
        }
    }
    return {};
}

Result<void> Restorer::name_mounts(const Outside& outside) {
    for (const auto& place : outside.mounts) {
        const auto source = source_of_mount(place, config_, placement_.cgroup());
        if (!source) {
            return std::unexpected(source.error());
        }
        add_pair(to_, criu::opts::ext_mnt, place, *source);
    }
    return {};
}

void Restorer::inherit(FileDescriptor fd, const std::string& key) {
    MessageWriter pair;
    pair.text(criu::pair::key, key);
    pair.number(criu::pair::value, static_cast<unsigned>(fd.get()));
    to_.message(criu::opts::inherit_fd, pair);
    inherited_.push_back(std::move(fd));
}

// The caller's standard streams, and what it preserves, in the place of those that led outside.
Result<void> Restorer::give_descriptors(const Outside& outside) {
    for (const auto& [number, key] : outside.descriptors) {
        if (number > 2 + create_.preserved_fds) {
            continue;
        }
        constexpr int above_standard_streams = 10; // which CRIU has for itself
        FileDescriptor copy(::fcntl(number, F_DUPFD_CLOEXEC, above_standard_streams));
        if (!copy) {
            return fail("descriptor " + std::to_string(number) + " of the container led outside (" + key +
                            "), and there is none to take its place",
                        "leave it open for the restore; --preserve-fds for those from 3 on");
        }
        inherit(std::move(copy), key);
    }
    return {};
}

Result<void> Restorer::give_namespaces() {
    for (const Namespace& entry : config_.namespaces) {
        if (entry.path.empty()) {
            continue;
        }
        if (entry.flag != CLONE_NEWNET && entry.flag != CLONE_NEWPID) {
            add_pair(to_, criu::opts::join_ns, entry.name, entry.path);
            continue;
        }
        FileDescriptor file(::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) {
            return fail_errno("open", entry.name + " namespace " + entry.path);
        }
        inherit(std::move(file), entry.flag == CLONE_NEWNET ? "extRootNetNS" : "extRootPidNS");
    }
    return {};
}

// CRIU begins in the container's cgroup, and is told that this is where the saved one was.
Result<void> Restorer::enter_cgroup(pid_t criu, MessageWriter& to) {
    auto made = placement_.begin();
    made = made ? placement_.make_around(criu, state_) : made;
    if (!made) {
        return made;
    }
    const auto text = read_text_at(AT_FDCWD, "/proc/" + std::to_string(criu) + "/cgroup");
    for (const auto& line : split_lines(text.value_or(""))) { // "4:memory:/path"
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (second != std::string::npos) {
            add_pair(to, criu::opts::cg_root, line.substr(first + 1, second - first - 1),
                     line.substr(second + 1));
        }
    }
    return {};
}

Result<void> Restorer::send_terminal(FileDescriptor master) {
    if (create_.console_socket.empty()) {
        terminal_ = std::move(master);
        return {};
    }
    const auto socket = connect_socket(create_.console_socket, "console socket");
    return socket ? send_descriptor(socket->get(), master.get(), "/dev/ptmx")
                  : std::unexpected(socket.error());
}

Result<void> Restorer::follow(CriuNotification step) {
    if (step.step == "orphan-pts-master") {
        return send_terminal(std::move(step.descriptor));
    }
    if (step.step == "setup-namespaces") {
        state_.pid = step.pid;
        const std::string state = dump(state_document(state_, Status::creating));
        auto ran = run_hooks(config_.hooks.prestart, "prestart", state);
        return ran ? run_hooks(config_.hooks.create_runtime, "createRuntime", state) : ran;
    }
    if (step.step != "post-restore") {
        return {};
    }
    // The processes are there and do not run yet.
    state_.pid = step.pid;
    state_.start_time = process_start_time(step.pid).value_or(0);
    if (auto set = placement_.limit(false); !set) {
        return set;
    }
    return runtime_.store().save(state_);
}

Result<void> Restorer::restore(const CheckpointFolder& folder, bool serve_terminal) {
    if (config_.process && config_.process->terminal && create_.console_socket.empty() && !serve_terminal) {
        return fail(
            "process.terminal needs --console-socket when the runtime does not stay to serve the terminal");
    }
    const auto outside = load_outside(folder.images);
    auto to = criu_options(options_, config_, folder, "restore.log");
    if (!outside || !to) {
        return std::unexpected(outside ? to.error() : outside.error());
    }
    to_ = std::move(*to);
    Result<void> done = prepare_root();
    done = done ? name_mounts(*outside) : done;
    done = done ? give_descriptors(*outside) : done;
    done = done ? give_namespaces() : done;
    if (!done) {
        return done;
    }
    to_.number(criu::opts::evasive_devices, 1);
    to_.number(criu::opts::rst_sibling, 1); // the container's process becomes this one's child
    to_.text(criu::opts::root, config_.root_path);
    if (!options_.lsm_profile.empty()) {
        to_.text(criu::opts::lsm_profile, options_.lsm_profile);
    }
    if (!options_.lsm_mount_context.empty()) {
        to_.text(criu::opts::lsm_mount_context, options_.lsm_mount_context);
    }
    CriuRequest request{
        .kind = criu::Kind::restore,
        .options = std::move(to_),
        .on_process = [this](pid_t criu, MessageWriter& asked) { return enter_cgroup(criu, asked); },
        .on_notification = [this](CriuNotification step) { return follow(std::move(step)); }};
    for (const FileDescriptor& fd : inherited_) {
        request.inherited.push_back(fd.get());
    }
    const auto answer = ask_criu(std::move(request));
    return answer ? Result<void>{}
                  : std::unexpected(explain_criu(answer.error(), "restore container " + state_.id,
                                                 folder.work + "/restore.log"));
}

// What CRIU calls strict: it would find the group that is made here for its own process.
Result<void> check_absent(const Cgroup& cgroup) {
    for (const auto& [controller, path] : cgroup.paths()) {
        if (::access(path.c_str(), F_OK) == 0) {
            return fail("control group " + path + " is there already",
                        "remove it, or leave --manage-cgroups-mode strict out");
        }
    }
    return {};
}

// The processes run; their state is removed again if not.
Result<void> restore_reserved(const Runtime& runtime, CheckpointOptions options, const CreateOptions& create,
                              const CheckpointFolder& folder, Config& config, State& state,
                              bool serve_terminal, FileDescriptor& terminal) {
    const auto host = detect_cgroup_host();
    if (!host) {
        return std::unexpected(host.error());
    }
    auto placement = Placement::plan(runtime.options(), *host, config, state.id);
    if (!placement) {
        return std::unexpected(placement.error());
    }
    if (options.manage_cgroups == "strict") {
        if (auto absent = check_absent(placement->cgroup()); !absent) {
            return absent;
        }
        options.manage_cgroups = "soft";
    }
    state = first_state(state.id, config, create.bundle, placement->cgroup());
    auto saved = runtime.store().save(state);
    saved = saved ? save_config(runtime, state.id, create.bundle) : saved;
    if (!saved) {
        return saved;
    }
    Restorer restorer(runtime, options, create, config, state, *placement);
    auto restored = restorer.restore(folder, serve_terminal);
    if (restored) {
        terminal = restorer.take_terminal();
        const FileDescriptor pidfd(sys::pidfd_open(state.pid));
        restored = announce(state.pid, pidfd.get(), create.pid_file, create.pidfd_socket);
    }
    return restored;
}

} // namespace

Result<int> restore_container(Runtime& runtime, const std::string& id, const CheckpointOptions& options,
                              const CreateOptions& create, const RunOptions& how) {
    if (auto checked = check_id(id); !checked) {
        return std::unexpected(checked.error());
    }
    if (is_rootless()) {
        return fail("cannot restore container " + id + ": CRIU needs root");
    }
    if (!create.pivot) {
        return fail("cannot restore container " + id +
                        " without pivoting: CRIU makes its root, by pivot_root",
                    "leave --no-pivot out, and have the bundle elsewhere than on a ramfs (an initramfs)");
    }
    auto config = load_config(create.bundle);
    if (auto parted = part_mounts(); !parted) {
        return std::unexpected(parted.error());
    }
    const auto folder = config ? open_checkpoint_folder(options, false) : std::unexpected(config.error());
    if (!folder) {
        return std::unexpected(folder.error());
    }
    if (::faccessat(folder->images_fd.get(), "inventory.img", F_OK, 0) != 0) {
        return fail(folder->images + " is not a checkpoint: it has no inventory.img",
                    "--image-path names the directory that checkpoint filled");
    }
    auto signals = how.detach ? Result<ForwardedSignals>(fail("")) : ForwardedSignals::block();
    if (!signals && !how.detach) {
        return std::unexpected(signals.error());
    }
    if (!how.detach && how.subreaper) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
    if (auto reserved = runtime.store().reserve(id); !reserved) {
        return std::unexpected(reserved.error());
    }
    State state{.id = id};
    FileDescriptor terminal;
    auto restored =
        restore_reserved(runtime, options, create, *folder, *config, state, !how.detach, terminal);
    if (!restored) {
        (void)destroy_container(runtime.store(), state);
        return std::unexpected(restored.error());
    }
    run_late_hooks(config->hooks.poststart, "poststart", dump(state_document(state, Status::running)));
    if (how.detach) {
        return 0;
    }
    const FileDescriptor pidfd(sys::pidfd_open(state.pid));
    auto status = stay_with(state.pid, pidfd.get(), *signals, std::move(terminal));
    auto removed = status && !how.keep ? runtime.remove(id, true) : Result<void>{};
    return removed ? status : std::unexpected(removed.error());
}

} // namespace strata::container
