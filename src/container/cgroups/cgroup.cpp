#include "container/cgroups/cgroup.hpp"

#include "base/file_descriptor.hpp"
#include "container/cgroups/controllers.hpp"
#include "container/cgroups/files.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace strata::container {
namespace {

bool is_permission(int code) { return code == EACCES || code == EPERM || code == EROFS; }

// ".." in a cgroup's path would lead out of the hierarchy.
Result<std::string> clean(const std::string& path) {
    std::string cleaned;
    std::size_t start = 0;
    while (start < path.size()) {
        const auto end = std::min(path.find('/', start), path.size());
        const auto part = path.substr(start, end - start);
        if (part == "..") {
            return fail("config.json: linux.cgroupsPath has '..' in it");
        }
        if (!part.empty() && part != ".") {
            cleaned.append("/").append(part);
        }
        start = end + 1;
    }
    return cleaned;
}

// What /proc/self/cgroup calls `path` lies at this place of the mounted part.
std::string below_mount(const CgroupHierarchy& hierarchy, const std::string& path) {
    const bool partial = hierarchy.root != "/" && path.starts_with(hierarchy.root);
    const std::string relative = partial ? path.substr(hierarchy.root.size()) : path;
    return relative == "/" ? "" : relative;
}

// Where relative paths begin. In version 2 a cgroup that has processes cannot hand controllers down, and the
// caller's own has: so beside it, where that is allowed.
std::string start_of_relative(const CgroupHost& host, const CgroupHierarchy& hierarchy) {
    const std::string own = below_mount(hierarchy, hierarchy.own);
    const std::string above = own.substr(0, own.empty() ? 0 : own.rfind('/'));
    const bool movable = ::access((hierarchy.mount_point + above + "/cgroup.procs").c_str(), W_OK) == 0;
    return host.v1.empty() && movable ? above : own;
}

// Makes `directory` and those above it; `on_made` is called for each, from the top.
template <class Function>
Result<void> make_directories(const std::string& directory, Function on_made) {
    if (::access(directory.c_str(), F_OK) == 0) {
        return {};
    }
    const auto slash = directory.rfind('/');
    if (slash != 0 && slash != std::string::npos) {
        if (auto made = make_directories(directory.substr(0, slash), on_made); !made) {
            return made;
        }
    }
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
        return fail_errno("make cgroup", directory);
    }
    return on_made(directory);
}

// A v2 directory offers the controllers that its parent hands down.
Result<void> hand_down_controllers(const std::string& directory) {
    const std::string parent = directory.substr(0, directory.rfind('/'));
    const auto offered = read_cgroup_file(parent, "cgroup.controllers");
    std::size_t start = 0;
    while (offered && start < offered->size()) {
        const auto end = std::min(offered->find_first_of(" \n", start), offered->size());
        if (end > start) {
            // A controller that the kernel keeps back is missed only by a limit that needs it.
            (void)write_cgroup_file(parent, "cgroup.subtree_control",
                                    "+" + offered->substr(start, end - start));
        }
        start = end + 1;
    }
    return {};
}

void hand_down_from_root(const std::string& directory) {
    const std::string parent = directory.substr(0, directory.rfind('/'));
    if (has_cgroup_file(parent, "cgroup.controllers")) {
        hand_down_from_root(parent);
        (void)hand_down_controllers(directory);
    }
}

Result<void> remove_tree(const std::string& directory) {
    for (const auto& child : child_cgroups(directory)) {
        if (auto removed = remove_tree(directory + "/" + child); !removed) {
            return removed;
        }
    }
    if (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
        return fail_errno("remove cgroup", directory);
    }
    return {};
}

void list_processes(const std::string& directory, std::vector<pid_t>& pids) {
    if (const auto text = read_cgroup_file(directory, "cgroup.procs")) {
        for (const auto& line : split_lines(*text)) {
            pid_t pid = 0;
            std::from_chars(line.data(), line.data() + line.size(), pid);
            if (pid > 0) {
                pids.push_back(pid);
            }
        }
    }
    for (const auto& child : child_cgroups(directory)) {
        list_processes(directory + "/" + child, pids);
    }
}

} // namespace

Result<Cgroup> Cgroup::plan(const CgroupHost& host, const std::string& path, const std::string& id) {
    auto cleaned = clean(path.empty() ? id : path);
    if (!cleaned) {
        return std::unexpected(cleaned.error());
    }
    const bool absolute = path.starts_with('/');
    const auto place = [&](const CgroupHierarchy& hierarchy) {
        return hierarchy.mount_point + (absolute ? "" : start_of_relative(host, hierarchy)) + *cleaned;
    };
    std::map<std::string, std::string> paths;
    for (const auto& hierarchy : host.v1) {
        for (const auto& controller : hierarchy.controllers) {
            paths[controller] = place(hierarchy);
        }
    }
    for (const auto& hierarchy : host.unified) {
        paths[unified_key] = place(hierarchy);
    }
    return Cgroup(std::move(paths));
}

Result<void> Cgroup::create(bool optional) {
    for (auto entry = paths_.begin(); entry != paths_.end();) {
        const auto& [controller, directory] = *entry;
        auto made = make_directories(directory, [&controller](const std::string& path) -> Result<void> {
            return controller == unified_key ? hand_down_controllers(path)
                   : controller == "cpuset"  ? v1::inherit_cpuset(path)
                                             : Result<void>{};
        });
        if (!made && !(optional && is_permission(made.error().code))) {
            return made;
        }
        entry = made ? std::next(entry) : paths_.erase(entry);
    }
    return {};
}

void Cgroup::hand_down_all() const {
    if (const auto unified = paths_.find(unified_key); unified != paths_.end()) {
        hand_down_from_root(unified->second);
    }
}

Result<void> Cgroup::add(pid_t pid) const {
    const std::string text = std::to_string(pid);
    std::vector<std::string> done; // co-mounted controllers share a directory
    for (const auto& [controller, directory] : paths_) {
        if (std::ranges::find(done, directory) == done.end()) {
            if (auto added = write_cgroup_file(directory, "cgroup.procs", text); !added) {
                return added;
            }
            done.push_back(directory);
        }
    }
    return {};
}

Result<void> Cgroup::add_to_unified(pid_t pid) const {
    const auto unified = paths_.find(unified_key);
    return unified == paths_.end() ? Result<void>{}
                                   : write_cgroup_file(unified->second, "cgroup.procs", std::to_string(pid));
}

std::optional<Cgroup::Place> Cgroup::find(const std::string& controller) const {
    if (const auto v1 = paths_.find(controller); v1 != paths_.end()) {
        return Place{v1->second, false};
    }
    const auto unified = paths_.find(unified_key);
    if (unified == paths_.end()) {
        return std::nullopt;
    }
    const auto offered = read_cgroup_file(unified->second, "cgroup.controllers");
    const std::string padded = offered ? " " + *offered : "";
    for (const char* end : {" ", "\n"}) {
        if (padded.find(" " + controller + end) != std::string::npos) {
            return Place{unified->second, true};
        }
    }
    return std::nullopt;
}

Result<std::vector<pid_t>> Cgroup::processes() const {
    std::vector<pid_t> pids;
    // Any hierarchy has them all; the unified one is the quickest to ask.
    if (!paths_.empty()) {
        list_processes(paths_.begin()->second, pids);
    }
    return pids;
}

Result<void> Cgroup::freeze(bool frozen) const {
    if (const auto v1 = paths_.find("freezer"); v1 != paths_.end()) {
        constexpr int attempts = 1000; // a process that is forking can escape one attempt
        for (int i = 0; i < attempts; ++i) {
            if (auto set = write_cgroup_file(v1->second, "freezer.state", frozen ? "FROZEN" : "THAWED");
                !set) {
                return set;
            }
            if (is_frozen() == frozen) {
                return {};
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        (void)write_cgroup_file(v1->second, "freezer.state", "THAWED");
        return fail("the container's processes cannot be frozen");
    }
    const auto unified = paths_.find(unified_key);
    if (unified == paths_.end()) {
        return fail("the container has no control group that could hold its processes",
                    "without root one must be delegated to you: run strata in a group that is yours");
    }
    if (auto set = write_cgroup_file(unified->second, "cgroup.freeze", frozen ? "1" : "0"); !set) {
        return set;
    }
    constexpr int attempts = 2000;
    for (int i = 0; i < attempts && is_frozen() != frozen; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
}

bool Cgroup::is_frozen() const {
    if (const auto v1 = paths_.find("freezer"); v1 != paths_.end()) {
        const auto state = read_cgroup_file(v1->second, "freezer.state");
        return state && state->starts_with("FROZEN");
    }
    if (const auto unified = paths_.find(unified_key); unified != paths_.end()) {
        const auto events = read_cgroup_file(unified->second, "cgroup.events");
        return events && find_cgroup_value(*events, "frozen") == 1;
    }
    return false;
}

Result<void> Cgroup::signal_all(int signal) const {
    const auto unified = paths_.find(unified_key);
    if (signal == SIGKILL && unified != paths_.end() && has_cgroup_file(unified->second, "cgroup.kill")) {
        return write_cgroup_file(unified->second, "cgroup.kill", "1");
    }
    // Frozen meanwhile, none can fork away from the signal.
    const bool was_frozen = is_frozen();
    const bool froze = !was_frozen && freeze(true).has_value();
    const auto pids = processes();
    for (const pid_t pid : pids.value_or(std::vector<pid_t>{})) {
        ::kill(pid, signal);
    }
    if (froze || (was_frozen && signal == SIGKILL)) {
        return freeze(false);
    }
    return {};
}

Result<void> Cgroup::remove() const {
    constexpr int attempts = 12;
    Result<void> status;
    for (const auto& [controller, directory] : paths_) {
        auto pause = std::chrono::milliseconds(1);
        for (int attempt = 0; attempt < attempts; ++attempt, pause *= 2) {
            auto removed = remove_tree(directory);
            if (removed || removed.error().code != EBUSY) {
                status = status ? removed : status;
                break;
            }
            if (attempt == 0) {
                (void)signal_all(SIGKILL);
            }
            if (attempt + 1 == attempts) {
                status = removed;
            }
            std::this_thread::sleep_for(pause);
        }
    }
    return status;
}

} // namespace strata::container
