#include "container/process/capabilities.hpp"
#include "oci/command.hpp"

#include "base/file.hpp"

#include <charconv>

namespace strata::oci {
namespace {

struct ExecFlags {
    container::ExecOptions options;
    std::string process_file, cwd, user, label, profile;
    std::vector<std::string> env, capabilities, groups;
    bool tty = false, no_new_privileges = false, no_subreaper = false;

    void declare(Arguments& arguments) {
        arguments.text("--process,-p", process_file, "a file with the process, as in config.json");
        arguments.text("--console-socket", options.console_socket,
                       "a socket that gets the terminal's master");
        arguments.text("--pid-file", options.pid_file, "a file that gets the process ID");
        arguments.text("--pidfd-socket", options.pidfd_socket, "a socket that gets a pidfd of the process");
        arguments.text("--cwd", cwd, "the directory to run in");
        arguments.list("--env,-e", env, "NAME=VALUE for the environment");
        arguments.flag("--tty,-t", tty, "give it a terminal");
        arguments.text("--user,-u", user, "UID[:GID]");
        arguments.list("--additional-gids,-g", groups, "a group more");
        arguments.flag("--detach,-d", options.detach, "return when it runs");
        arguments.list("--cap,-c", capabilities, "a capability more");
        arguments.flag("--no-new-privs", no_new_privileges, "set no_new_privs");
        arguments.text("--process-label", label, "its SELinux label");
        arguments.text("--apparmor", profile, "its AppArmor profile");
        arguments.count("--preserve-fds", options.preserved_fds, "descriptors from 3 on that it gets");
        arguments.text("--cgroup", options.cgroup, "a cgroup below the container's");
        arguments.flag("--ignore-paused", options.ignore_paused,
                       "also in a paused container, where it waits");
        arguments.flag("--no-subreaper", no_subreaper, "as it is: exec never becomes the parent of orphans");
    }
};

template <class T>
bool read_id(std::string_view text, T& id) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, id);
    return !text.empty() && parsed.ec == std::errc{} && parsed.ptr == end && id <= container::largest_id;
}

Result<void> set_user(const std::string& text, container::User& user) {
    const auto colon = text.find(':');
    if (!read_id(std::string_view(text).substr(0, colon), user.uid) ||
        (colon != std::string::npos && !read_id(std::string_view(text).substr(colon + 1), user.gid))) {
        return fail("--user: '" + text + "' is not UID[:GID], both numbers");
    }
    return {};
}

Result<void> add_capabilities(const std::vector<std::string>& names, container::Process& process) {
    auto& sets = process.capabilities ? *process.capabilities : process.capabilities.emplace();
    for (const auto& name : names) {
        const auto number = container::capability_number(name);
        if (!number) {
            return fail("--cap: '" + name + "' is no capability");
        }
        for (auto* set : {&sets.bounding, &sets.effective, &sets.permitted}) {
            *set |= std::uint64_t{1} << *number;
        }
    }
    return {};
}

// The container's own process, changed by the flags.
Result<container::Process> process_of_flags(const ExecFlags& flags, const container::Process& own,
                                            std::vector<std::string> args) {
    container::Process process = own;
    process.args = std::move(args);
    process.terminal = flags.tty;
    process.console_size.reset();
    process.env.insert(process.env.end(), flags.env.begin(), flags.env.end());
    process.cwd = flags.cwd.empty() ? process.cwd : flags.cwd;
    process.no_new_privileges = process.no_new_privileges || flags.no_new_privileges;
    process.selinux_label = flags.label.empty() ? process.selinux_label : flags.label;
    process.apparmor_profile = flags.profile.empty() ? process.apparmor_profile : flags.profile;
    if (!flags.user.empty()) {
        process.user.additional_gids.clear();
        if (auto set = set_user(flags.user, process.user); !set) {
            return std::unexpected(set.error());
        }
    }
    for (const auto& group : flags.groups) {
        gid_t gid = 0;
        if (!read_id(group, gid)) {
            return fail("--additional-gids: '" + group + "' is not a number");
        }
        process.user.additional_gids.push_back(gid);
    }
    if (auto added = add_capabilities(flags.capabilities, process); !flags.capabilities.empty() && !added) {
        return std::unexpected(added.error());
    }
    return process;
}

Result<container::Process> load_process(const ExecFlags& flags) {
    const auto bytes = read_file(flags.process_file, "process", 16 << 20);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    auto process = container::parse_process({reinterpret_cast<const char*>(bytes->data()), bytes->size()},
                                            "process " + flags.process_file);
    if (process && flags.tty) {
        process->terminal = true;
    }
    return process;
}

} // namespace

Result<int> exec(container::Runtime& runtime, Words words) {
    Arguments arguments("exec [OPTION...] ID [COMMAND [ARGUMENT...]]",
                        "Runs another process in a container. The exit status is its own.");
    ExecFlags flags;
    flags.declare(arguments);
    auto rest = arguments.parse(words, 1, std::size_t{1} << 20, true);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    const std::string id = rest->front();
    rest->erase(rest->begin());
    if (flags.process_file.empty() && rest->empty()) {
        return fail("exec needs a command, or --process");
    }
    const auto config = runtime.config(id);
    if (!config) {
        return std::unexpected(config.error());
    }
    auto process = flags.process_file.empty() ? process_of_flags(flags, *config->process, std::move(*rest))
                                              : load_process(flags);
    if (!process) {
        return std::unexpected(process.error());
    }
    flags.options.process = std::move(*process);
    return runtime.exec(id, flags.options);
}

} // namespace strata::oci
