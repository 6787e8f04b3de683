#include "instance/rootless/user_namespace.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "container/isolation/id_maps.hpp"
#include "image/store/unpacked.hpp"
#include "instance/instances.hpp"
#include "instance/process_table.hpp"
#include "instance/rootless/keeper.hpp"
#include "instance/rootless/subordinate_ids.hpp"

#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <pwd.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/wait.h>

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
    std::array<int, 2> begin{}, answer{};
    if (pipe2(begin.data(), O_CLOEXEC) != 0 || pipe2(answer.data(), O_CLOEXEC) != 0) {
        return fail_errno("make", "a pipe");
    }
    FileDescriptor begin_read(begin[0]), begin_write(begin[1]), answer_read(answer[0]),
        answer_write(answer[1]);
    const pid_t writer = fork();
    if (writer < 0) {
        return fail_errno("make", "a user namespace");
    }
    if (writer == 0) {
        begin_write.reset();
        write_parents_maps(begin[0], answer[1]);
    }
    answer_write.reset();
    const bool made = unshare(CLONE_NEWUSER) == 0;
    const int failure = errno;
    if (made) {
        static_cast<void>(write_all(begin[1], "b", "pipe"));
    }
    begin_write.reset();
    std::string text;
    std::array<char, 512> buffer{};
    for (ssize_t got = 0; (got = read(answer[0], buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    while (waitpid(writer, nullptr, 0) < 0 && errno == EINTR) {
    }
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
    static_cast<void>(membership().release()); // its parent's, closed by now
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
