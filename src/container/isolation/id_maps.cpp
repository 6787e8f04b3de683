#include "container/isolation/id_maps.hpp"

#include "container/kernel/procfs.hpp"
#include "container/kernel/system_calls.hpp"

#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>

namespace strata::container {
namespace {

std::string map_text(const std::vector<IdMapping>& mappings) {
    std::string text;
    for (const IdMapping& mapping : mappings) {
        text += std::to_string(mapping.container_id) + " " + std::to_string(mapping.host_id) + " " +
                std::to_string(mapping.size) + "\n";
    }
    return text;
}

bool is_single(const std::vector<IdMapping>& mappings, std::uint32_t own) {
    return mappings.size() == 1 && mappings.front().size == 1 && mappings.front().host_id == own;
}

Result<void> run_helper(const char* path, pid_t pid, const std::vector<IdMapping>& mappings) {
    std::vector<std::string> args{path, std::to_string(pid)};
    for (const IdMapping& mapping : mappings) {
        for (const std::uint32_t number : {mapping.container_id, mapping.host_id, mapping.size}) {
            args.push_back(std::to_string(number));
        }
    }
    std::vector<char*> pointers;
    for (auto& arg : args) {
        pointers.push_back(arg.data());
    }
    pointers.push_back(nullptr);
    const pid_t child = ::fork();
    if (child < 0) {
        return fail_errno("start", path);
    }
    if (child == 0) {
        ::execv(path, pointers.data());
        ::_exit(127);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fail(std::string(path) + " could not write the ID map",
                    WIFEXITED(status) && WEXITSTATUS(status) == 127
                        ? "install the package uidmap"
                        : "see /etc/subuid and /etc/subgid for what you are granted");
    }
    return {};
}

// The signals of whoever waits must not reach it, and it needs no memory of its own.
pid_t start_idle_process() {
    const pid_t pid = sys::clone_process(CLONE_NEWUSER, SIGCHLD);
    if (pid == 0) {
        while (true) {
            ::pause();
        }
    }
    return pid;
}

} // namespace

Result<void> write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                           const std::vector<IdMapping>& gids) {
    const auto proc = Procfs::open();
    if (!proc) {
        return std::unexpected(proc.error());
    }
    const std::string process = std::to_string(pid);
    if (::geteuid() == 0) {
        if (auto written = proc->write(process + "/uid_map", map_text(uids)); !written) {
            return written;
        }
        return proc->write(process + "/gid_map", map_text(gids));
    }
    auto written = is_single(uids, ::geteuid()) ? proc->write(process + "/uid_map", map_text(uids))
                                                : run_helper("/usr/bin/newuidmap", pid, uids);
    if (!written) {
        return written;
    }
    if (!is_single(gids, ::getegid())) {
        return run_helper("/usr/bin/newgidmap", pid, gids);
    }
    // Without privileges a group could else be left that a file excludes.
    if (auto denied = proc->write(process + "/setgroups", "deny"); !denied) {
        return denied;
    }
    return proc->write(process + "/gid_map", map_text(gids));
}

Result<FileDescriptor> make_mapping_namespace(const std::vector<IdMapping>& uids,
                                              const std::vector<IdMapping>& gids) {
    const pid_t pid = start_idle_process();
    if (pid < 0) {
        return fail_errno("make", "a user namespace for an ID-mapped mount");
    }
    const auto written = write_id_maps(pid, uids, gids);
    FileDescriptor made(::open(("/proc/" + std::to_string(pid) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (!written) {
        return std::unexpected(written.error());
    }
    if (!made) {
        return fail_errno("open", "a user namespace for an ID-mapped mount");
    }
    return made;
}

bool groups_are_changeable(const Procfs& proc) {
    const auto text = proc.read("self/setgroups");
    return !text || !text->starts_with("deny");
}

} // namespace strata::container
