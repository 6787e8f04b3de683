#include "container/process/program.hpp"

#include "container/kernel/system_calls.hpp"
#include "container/process/attributes.hpp"
#include "container/process/capabilities.hpp"

#include <algorithm>
#include <climits>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

// The process must be able to reopen its own standard streams (/dev/stdout).
void give_standard_streams(const User& user) {
    struct stat null{};
    const bool has_null = ::stat("/dev/null", &null) == 0;
    for (int fd = 0; fd <= 2; ++fd) {
        struct stat info{};
        if (::fstat(fd, &info) != 0 || info.st_uid == user.uid ||
            (has_null && info.st_rdev == null.st_rdev)) {
            continue;
        }
        (void)::fchown(fd, user.uid, info.st_gid); // where it may: a read-only or foreign file system refuses
    }
}

Result<void> set_ids(const User& user, bool changeable_groups) {
    const auto& groups = user.additional_gids;
    if (changeable_groups && ::setgroups(groups.size(), groups.data()) != 0) {
        return fail_errno("set", "process.user.additionalGids");
    }
    if (!changeable_groups && !groups.empty()) {
        return fail("process.user.additionalGids cannot be set: this user namespace forbids changing groups");
    }
    if (::setresgid(user.gid, user.gid, user.gid) != 0) {
        return fail_errno(
            "become", "group " + std::to_string(user.gid), errno,
            errno == EINVAL ? "the user namespace's gidMappings do not have the ID: see /etc/subgid" : "");
    }
    if (::setresuid(user.uid, user.uid, user.uid) != 0) {
        return fail_errno(
            "become", "user " + std::to_string(user.uid), errno,
            errno == EINVAL ? "the user namespace's uidMappings do not have the ID: see /etc/subuid" : "");
    }
    return {};
}

Result<void> enter_directory(const std::string& cwd) {
    if (::chdir(cwd.c_str()) != 0) {
        return fail_errno("enter", "process.cwd " + cwd);
    }
    // A descriptor of the host's that leaked would let a cwd of /proc/self/fd/N lead out of the root.
    char path[PATH_MAX];
    const long size = ::syscall(SYS_getcwd, path, sizeof path);
    if (size <= 0 || path[0] != '/') {
        return fail("process.cwd " + cwd + " is outside of the container's root");
    }
    return {};
}

void make_directories(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        ::mkdir(path.substr(0, slash).c_str(), 0755);
    }
    ::mkdir(path.c_str(), 0755);
}

Result<void> install_filter(const ProgramOptions& options) {
    if (options.seccomp == nullptr) {
        return {};
    }
    auto listener = load_seccomp(*options.seccomp);
    if (!listener) {
        return std::unexpected(listener.error());
    }
    return *listener && options.on_listener ? options.on_listener(std::move(*listener)) : Result<void>{};
}

const std::string* find_variable(const std::vector<std::string>& env, std::string_view name) {
    for (const auto& variable : env) {
        if (variable.starts_with(name) && variable.size() > name.size() && variable[name.size()] == '=') {
            return &variable;
        }
    }
    return nullptr;
}

// From the container's /etc/passwd, without the host's name services.
std::string home_of(std::uint32_t uid) {
    const auto text = read_text_at(AT_FDCWD, "/etc/passwd", O_NONBLOCK | O_NOCTTY);
    std::size_t start = 0;
    while (text && start < text->size()) {
        const auto end = std::min(text->find('\n', start), text->size());
        std::vector<std::string> fields(1);
        for (std::size_t i = start; i < end; ++i) {
            if ((*text)[i] == ':') {
                fields.emplace_back();
            } else {
                fields.back().push_back((*text)[i]);
            }
        }
        if (fields.size() > 5 && fields[2] == std::to_string(uid)) {
            return fields[5];
        }
        start = end + 1;
    }
    return "/";
}

bool is_executable(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode) &&
           ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

Result<std::string> find_executable(const std::string& name, const std::string& search_path) {
    if (name.find('/') != std::string::npos) {
        if (is_executable(name)) {
            return name;
        }
        const int code = errno == 0 ? EACCES : errno;
        return fail_errno("run", name, code, code == ENOENT ? "it is not in the container's root" : "");
    }
    std::size_t start = 0;
    while (start <= search_path.size()) {
        const auto end = std::min(search_path.find(':', start), search_path.size());
        const auto path = search_path.substr(start, end - start) + "/" + name;
        if (is_executable(path)) {
            return path;
        }
        start = end + 1;
    }
    auto error =
        fail("cannot run " + name + ": executable file not found in $PATH", "PATH is " + search_path);
    error.error().code = ENOENT;
    return error;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (auto& text : texts) {
        list.push_back(text.data());
    }
    list.push_back(nullptr);
    return list;
}

} // namespace

Result<void> become_user(const Process& process, const Procfs& proc, const ProgramOptions& options) {
    const bool filter_first = !process.no_new_privileges; // then only a privileged process may load one
    if (auto labelled = set_exec_labels(proc, process); !labelled) {
        return labelled;
    }
    if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail_errno("set", "process.noNewPrivileges");
    }
    give_standard_streams(process.user);
    if (!process.cwd.empty()) {
        make_directories(process.cwd);
    }
    if (auto limited = set_rlimits(process.rlimits); !limited) {
        return limited;
    }
    if (filter_first) {
        if (auto filtered = install_filter(options); !filtered) {
            return filtered;
        }
    }
    const Capabilities capabilities = process.capabilities.value_or(Capabilities{});
    if (auto limited = limit_bounding_set(capabilities); !limited) {
        return limited;
    }
    // Root may enter what the user may not, or, on a network's file system, the other way round.
    const bool entered_as_root = enter_directory(process.cwd).has_value();
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (auto set = set_ids(process.user, options.changeable_groups); !set) {
        return set;
    }
    ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (!entered_as_root) {
        if (auto entered = enter_directory(process.cwd); !entered) {
            return entered;
        }
    }
    if (auto set = set_capabilities(capabilities); !set) {
        return set;
    }
    if (process.user.umask) {
        ::umask(static_cast<mode_t>(*process.user.umask));
    }
    return filter_first ? Result<void>{} : install_filter(options);
}

Result<Program> find_program(Process& process) {
    if (find_variable(process.env, "HOME") == nullptr) {
        process.env.push_back("HOME=" + home_of(process.user.uid));
    }
    constexpr std::string_view path = "PATH";
    const std::string* variable = find_variable(process.env, path);
    auto executable =
        find_executable(process.args.front(),
                        variable != nullptr ? variable->substr(path.size() + 1)
                                            : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (!executable) {
        return std::unexpected(executable.error());
    }
    return Program{
        .path = std::move(*executable), .args = pointers(process.args), .env = pointers(process.env)};
}

Error run(const Program& program) {
    ::execve(program.path.c_str(), program.args.data(), program.env.data());
    return fail_errno("run", program.path).error();
}

} // namespace strata::container
