#include "container/lifecycle/checkpoint.hpp"

#include "container/cgroups/cgroup.hpp"
#include "container/criu/options.hpp"
#include "container/criu/outside.hpp"

#include <sched.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

Result<void> check_flags(const CheckpointOptions& options) {
    if (options.parent_path.starts_with('/')) {
        return fail("--parent-path: '" + options.parent_path + "' must be relative to the --image-path",
                    "as in ../first");
    }
    return {};
}

// A namespace that the container joined is not the container's to save; it joins one again at the restore.
void leave_joined_namespaces(MessageWriter& to, pid_t pid, const Config& config) {
    for (const auto& [flag, kind, name] :
         {std::tuple{CLONE_NEWNET, "net", "extRootNetNS"}, std::tuple{CLONE_NEWPID, "pid", "extRootPidNS"}}) {
        const Namespace* entry = config.find_namespace(flag);
        const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind;
        struct stat info{};
        if (entry != nullptr && !entry->path.empty() && ::stat(path.c_str(), &info) == 0) {
            to.text(criu::opts::external,
                    std::string(kind) + "[" + std::to_string(info.st_ino) + "]:" + name);
        }
    }
}

void leave_outside(MessageWriter& to, const Outside& outside) {
    for (const auto& place : outside.mounts) {
        add_pair(to, criu::opts::ext_mnt, place, place);
    }
    for (const auto& [fd, key] : outside.descriptors) {
        if (Outside::must_be_told(key)) {
            to.text(criu::opts::external, key);
        }
    }
}

Result<void> dump(const Container& container, const Config& config, const CheckpointOptions& options,
                  const CheckpointFolder& folder) {
    const pid_t pid = container.state.pid;
    auto to = criu_options(options, config, folder, "dump.log");
    const auto outside = find_outside(pid, config);
    if (!to || !outside) {
        return std::unexpected(to ? outside.error() : to.error());
    }
    to->number(criu::opts::pid, static_cast<unsigned>(pid));
    const auto& paths = container.state.cgroup_paths;
    const auto freezer = paths.contains("freezer") ? paths.find("freezer") : paths.find("");
    if (freezer != paths.end()) {
        to->text(criu::opts::freeze_cgroup, freezer->second);
    }
    leave_joined_namespaces(*to, pid, config);
    leave_outside(*to, *outside);
    if (options.leave_running && !options.pre_dump) {
        to->number(criu::opts::leave_running, 1);
    }
    if (options.pre_dump || !options.parent_path.empty()) {
        to->number(criu::opts::track_mem, 1);
    }
    if (!options.parent_path.empty()) {
        to->text(criu::opts::parent_img, options.parent_path);
    }
    if (options.status_fd) {
        to->number(criu::opts::status_fd, static_cast<std::uint64_t>(*options.status_fd));
    }
    if (auto saved = save_outside(*outside, folder.images); !saved) {
        return saved;
    }
    const auto answer = ask_criu(
        {.kind = options.pre_dump ? criu::Kind::pre_dump : criu::Kind::dump, .options = std::move(*to)});
    return answer ? Result<void>{}
                  : std::unexpected(explain_criu(answer.error(), "save container " + container.state.id,
                                                 folder.work + "/dump.log"));
}

} // namespace

Result<void> checkpoint_container(Runtime& runtime, const std::string& id, const CheckpointOptions& options) {
    const auto container = runtime.find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    if (container->status != Status::running && container->status != Status::paused) {
        return fail("cannot checkpoint container " + id + ": it is " +
                    std::string(status_name(container->status)));
    }
    if (is_rootless()) {
        return fail("cannot checkpoint container " + id + ": CRIU needs root");
    }
    const auto config = runtime.config(id);
    if (!config) {
        return std::unexpected(config.error());
    }
    if (auto checked = check_flags(options); !checked) {
        return checked;
    }
    const auto folder = open_checkpoint_folder(options, true);
    if (!folder) {
        return std::unexpected(folder.error());
    }
    if (auto dumped = dump(*container, *config, options, *folder); !dumped) {
        return dumped;
    }
    if (options.leave_running || options.pre_dump) {
        return {};
    }
    auto ended = runtime.wait(id); // CRIU has killed it
    return ended || ended.error().code == ENOENT ? runtime.remove(id, true) : ended;
}

} // namespace strata::container
