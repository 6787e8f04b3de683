#include "container/systemd/manager.hpp"

#include "base/pipe.hpp"
#include "container/kernel/companion.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <spawn.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace strata::container {
namespace {

constexpr auto program = "strata-units";
constexpr std::size_t longest_answer = 65536;

// In a child, with the socket as descriptor 3.
Result<pid_t> start_program(int socket, bool user) {
    const std::string path = companion_path(program);
    constexpr int number = 3;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, socket, number);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    const std::string descriptor = std::to_string(number);
    const char* arguments[] = {program, descriptor.c_str(), user ? "user" : "system", nullptr};
    pid_t pid = 0;
    const int failure =
        ::posix_spawn(&pid, path.c_str(), &actions, &attributes, const_cast<char**>(arguments), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (failure != 0) {
        return fail_errno("run", path, failure, "strata-units belongs in the directory of strata-oci");
    }
    return pid;
}

std::vector<std::string> words_of(const UnitProperties& properties) {
    std::vector<std::string> words;
    for (const UnitProperty& property : properties) {
        words.insert(words.end(), {property.name, property.signature});
        words.insert(words.end(), property.words.begin(), property.words.end());
    }
    return words;
}

std::string hint_for(std::string_view error, const SystemdUnit& unit) {
    const std::string systemctl = unit.user ? "systemctl --user" : "systemctl";
    if (error == "org.freedesktop.systemd1.UnitExists") {
        return "name another in linux.cgroupsPath, or end that one: " + systemctl + " stop " + unit.name;
    }
    constexpr std::string_view wrong_properties[] = {"PropertyReadOnly", "InvalidArgs", "UnknownProperty",
                                                     "InconsistentMessage", "ENXIO"};
    if (std::ranges::any_of(wrong_properties, [&](std::string_view word) {
            return error.ends_with("." + std::string(word));
        })) {
        return "an annotation org.systemd.property.* may be what it does not take";
    }
    if (error.ends_with("AccessDenied") || error.ends_with("InteractiveAuthorizationRequired")) {
        return "the system's manager obeys root alone";
    }
    if (!error.empty()) {
        return "journalctl and " + systemctl + " status " + unit.name + " may tell more";
    }
    return unit.user ? "it is there for whoever has logged in, or for whom loginctl enable-linger was run; "
                       "XDG_RUNTIME_DIR says where"
                     : "is systemd running? systemctl status tells";
}

} // namespace

Result<SystemdManager> SystemdManager::open(bool user) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("make", "a pair of sockets");
    }
    FileDescriptor own(ends[0]);
    const FileDescriptor other(ends[1]);
    const auto pid = start_program(other.get(), user);
    return pid ? Result<SystemdManager>(SystemdManager(std::move(own), *pid)) : std::unexpected(pid.error());
}

SystemdManager::SystemdManager(SystemdManager&& other) noexcept
    : socket_(std::move(other.socket_)), pid_(std::exchange(other.pid_, 0)) {}

SystemdManager::~SystemdManager() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL); // it has answered all that was asked
        wait_for_end(pid_);
    }
}

Result<std::string> SystemdManager::ask(std::string_view verb, const SystemdUnit& unit,
                                        const std::vector<std::string>& words) {
    std::string question;
    const auto add = [&question](std::string_view word) { question.append(word).push_back('\0'); };
    add(verb);
    add(unit.name);
    std::ranges::for_each(words, add);
    if (::send(socket_.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) {
        return fail_errno("ask", "systemd through strata-units");
    }
    std::array<char, longest_answer> buffer{};
    ssize_t size = 0;
    do {
        size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    } while (size < 0 && errno == EINTR);
    if (size <= 0) {
        return fail("strata-units ended without an answer from systemd");
    }
    const std::string_view answer(buffer.data() + 1, static_cast<std::size_t>(size) - 1);
    if (buffer.front() == '+') {
        return std::string(answer);
    }
    const auto end = std::min(answer.find('\0'), answer.size() - 1);
    return fail("systemd does not " + std::string(verb) + " unit " + unit.name + ": " +
                    std::string(answer.substr(end + 1)),
                hint_for(answer.substr(0, end), unit));
}

Result<std::string> SystemdManager::start(const SystemdUnit& unit, const UnitProperties& properties) {
    return ask("start", unit, words_of(properties));
}

Result<void> SystemdManager::set(const SystemdUnit& unit, const UnitProperties& properties) {
    const auto answer = ask("set", unit, words_of(properties));
    return answer ? Result<void>{} : std::unexpected(answer.error());
}

Result<void> SystemdManager::stop(const SystemdUnit& unit) {
    const auto answer = ask("stop", unit, {});
    return answer ? Result<void>{} : std::unexpected(answer.error());
}

Result<void> check_systemd() {
    return ::access("/run/systemd/system", F_OK) == 0 // sd_booted(3)
               ? Result<void>{}
               : fail("--systemd-cgroup: this host was not started by systemd",
                      "leave it out, or set the caller's cgroup manager to cgroupfs");
}

Result<void> SystemdManager::attach(const SystemdUnit& unit, pid_t pid, const std::string& group) {
    const auto answer = ask("attach", unit, {std::to_string(pid), group});
    return answer ? Result<void>{} : std::unexpected(answer.error());
}

bool wants_user_manager(bool rootless) {
    if (!rootless || ::geteuid() != 0) {
        return rootless;
    }
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    return runtime != nullptr && ::access((std::string(runtime) + "/systemd/private").c_str(), F_OK) == 0;
}

} // namespace strata::container
