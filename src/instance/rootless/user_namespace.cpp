#include "instance/rootless/user_namespace.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "base/pipe.hpp"
#include "container/isolation/id_maps.hpp"
#include "image/privileges.hpp"
#include "instance/instances.hpp"
#include "instance/process_table.hpp"
#include "instance/rootless/keeper.hpp"
#include "instance/rootless/subordinate_ids.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <pwd.h>
#include <sched.h>
#include <sys/file.h>

namespace strata::instance {
namespace {

constexpr auto forbidden_hint = "this host keeps users from making user namespaces (sysctl "
                                "user.max_user_namespaces, kernel.unprivileged_userns_clone, or AppArmor)";

// For as long as this process lives.
FileDescriptor& membership() {
    static FileDescriptor held;
    return held;
}

using IdMap = std::vector<container::IdMapping>;

IdMap granted(const char* path, std::uint32_t own) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const passwd* user = getpwuid(geteuid());
    return own_id_map(text, user != nullptr ? user->pw_name : "", own);
}

bool has_map_helpers() {
    return access("/usr/bin/newuidmap", X_OK) == 0 && access("/usr/bin/newgidmap", X_OK) == 0;
}

// Of one user both or neither is useful; a helper that is not there grants nothing.
std::pair<IdMap, IdMap> id_maps() {
    auto users = granted("/etc/subuid", geteuid()), groups = granted("/etc/subgid", getegid());
    if (users.size() == 1 || groups.size() == 1 || !has_map_helpers()) {
        users.resize(1);
        groups.resize(1);
    }
    return {std::move(users), std::move(groups)};
}

// Writes the maps of its parent from outside the new namespace, as the helpers demand, once the parent is in
// it.
[[noreturn]] void write_parents_maps(int begin, int answer) {
    char byte = 0;
    if (read(begin, &byte, 1) != 1) {
        _exit(1); // there is no new namespace
    }
    const auto [users, groups] = id_maps();
    if (const auto written = container::write_id_maps(getppid(), users, groups); !written) {
        const auto& error = written.error();
        static_cast<void>(write_all(answer, error.message + "\n" + error.hint, "pipe"));
    }
    _exit(0);
}

Result<void> make_namespace() {
    auto begin = make_pipe(), answer = make_pipe();
    if (!begin || !answer) {
        return fail_errno("make", "a pipe");
    }
    const pid_t writer = fork();
    if (writer < 0) {
        return fail_errno("make", "a user namespace");
    }
    if (writer == 0) {
        begin->write_end.reset();
        write_parents_maps(begin->read_end.get(), answer->write_end.get());
    }
    answer->write_end.reset();
    const bool made = unshare(CLONE_NEWUSER) == 0;
    const int failure = errno;
    if (made) {
        static_cast<void>(write_all(begin->write_end.get(), "b", "pipe"));
    }
    begin->write_end.reset();
    const auto text = read_until_closed(answer->read_end).value_or("");
    wait_for_end(writer);
    if (!made) {
        return fail_errno("make", "a user namespace", failure, forbidden_hint);
    }
    const auto end = text.find('\n');
    return text.empty() ? Result<void>{} : fail(text.substr(0, end), text.substr(end + 1));
}

FileDescriptor namespace_of(std::int64_t pid, std::int64_t start) {
    FileDescriptor file(open(fmt::format("/proc/{}/ns/user", pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (file && !is_alive(pid, start)) {
        file.reset(); // another process that has got its number
    }
    return file;
}

// Of a container that has outlived the keeper.
FileDescriptor namespace_of_container(const std::string& directory) {
    const auto path = directory + "/state.db";
    auto database = access(path.c_str(), F_OK) == 0 ? Database::open(path, "")
                                                    : Result<Database>(fail("there is no state"));
    if (!database) {
        return {};
    }
    auto rows = database->prepare("SELECT pid, pid_start FROM instances WHERE status IN (?, ?)");
    rows.bind(static_cast<std::int64_t>(Status::running)).bind(static_cast<std::int64_t>(Status::paused));
    while (rows.step().value_or(false)) {
        const auto pid = rows.number(), start = rows.number();
        if (auto found = namespace_of(pid, start)) {
            return found;
        }
    }
    return {};
}

Result<void> enter(const std::string& directory, const FileDescriptor& members) {
    const auto keeper = keeper_in(members);
    auto known = namespace_of(keeper.pid, keeper.start);
    const bool is_kept = static_cast<bool>(known);
    if (!known) {
        known = namespace_of_container(directory);
    }
    if (known && setns(known.get(), CLONE_NEWUSER) != 0) {
        return fail_errno("enter", "the user namespace of your containers");
    }
    if (!known) {
        if (auto made = make_namespace(); !made) {
            return made;
        }
    }
    return is_kept ? Result<void>{} : start_keeper(directory);
}

} // namespace

Result<void> enter_user_namespace(const std::string& directory) {
    if (geteuid() == 0) {
        return {};
    }
    if (auto made = make_directories(directory + "/run", 0700); !made) {
        return made;
    }
    const FileDescriptor entering(open_entering(directory));
    FileDescriptor members(open_members(directory));
    if (!entering || !members) {
        return fail_errno("open", directory + "/run/namespace");
    }
    while (flock(entering.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    while (flock(members.get(), LOCK_SH) != 0 && errno == EINTR) {
    }
    auto entered = enter(directory, members);
    if (entered) {
        membership() = std::move(members);
    }
    return entered;
}

void stay_in_user_namespace(const std::string& directory) {
    if (!image::in_user_namespace()) {
        return;
    }
    FileDescriptor members(open_members(directory));
    if (members) {
        flock(members.get(), LOCK_SH);
        membership() = std::move(members);
    }
}

} // namespace strata::instance
