#include "instance/runtime.hpp"

#include "base/beside.hpp"
#include "base/file_descriptor.hpp"
#include "base/json_reader.hpp"
#include "instance/temporary_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace strata::instance {
namespace {

std::string find_program() {
    if (const char* named = std::getenv("STRATA_RUNTIME"); named != nullptr && *named != '\0') {
        return named;
    }
    const auto own = path_beside("strata-oci");
    return access(own.c_str(), X_OK) == 0 ? own : "runc";
}

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The last line that the runtime logged: {"level":"error","msg":…}.
std::string complaint_in(const std::string& log) {
    const auto end = log.find_last_not_of('\n');
    const auto begin = end == log.npos ? log.npos : log.rfind('\n', end);
    JsonReader reader("log");
    auto message = reader.parse(begin == log.npos ? log : log.substr(begin + 1)).find("msg").string();
    return reader.error() ? log : message;
}

} // namespace

Runtime::Runtime(std::string directory) : directory_(std::move(directory)), program_(find_program()) {}

Result<void> Runtime::call(std::vector<std::string> arguments, const Streams& streams) const {
    const TemporaryFile log(directory_);
    std::vector<std::string> words{program_,       "--root", directory_ + "/oci", "--log", log.path(),
                                   "--log-format", "json"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (auto& word : words) {
        pointers.push_back(word.data());
    }
    pointers.push_back(nullptr);
    const FileDescriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int given[] = {streams.input, streams.output, streams.error};
    for (int target = 0; target < 3; ++target) {
        posix_spawn_file_actions_adddup2(&actions, given[target] >= 0 ? given[target] : null.get(), target);
    }
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    sigset_t all; // the monitor ignores what its container must not
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t child = 0;
    const int failure =
        posix_spawnp(&child, program_.c_str(), &actions, &attributes, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failure != 0) {
        return fail_errno("run the container runtime", program_, failure, "STRATA_RUNTIME may name another");
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return fail_errno("wait for", program_);
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return {};
    }
    const auto message = complaint_in(content_of(log.path()));
    return fail(message.empty()
                    ? fmt::format("the container runtime failed ({} {})", program_, arguments.front())
                    : message);
}

Result<pid_t> Runtime::call_for_pid(std::vector<std::string> arguments, const std::string& console,
                                    const std::string& last, const Streams& streams) const {
    const TemporaryFile pid_file(directory_);
    arguments.insert(arguments.end(), {"--pid-file", pid_file.path()});
    if (!console.empty()) {
        arguments.insert(arguments.end(), {"--console-socket", console});
    }
    arguments.push_back(last);
    if (auto called = call(std::move(arguments), streams); !called) {
        return std::unexpected(called.error());
    }
    const auto pid = std::atoi(content_of(pid_file.path()).c_str());
    if (pid <= 0) {
        return fail("the container runtime does not tell the number of the process");
    }
    return pid;
}

Result<pid_t> Runtime::create(const std::string& id, const std::string& bundle, const std::string& console,
                              const Streams& streams) const {
    return call_for_pid({"create", "--bundle", bundle}, console, id, streams);
}

// Each has a directory with its ID (runc, crun and ours), without which there is nothing to call the runtime
// for.
Result<void> Runtime::remove(const std::string& id) const {
    const bool absent = access((directory_ + "/oci/" + id).c_str(), F_OK) != 0 && errno == ENOENT;
    return absent ? Result<void>{} : call({"delete", "--force", id});
}

Result<std::string> Runtime::call_for_text(std::vector<std::string> arguments) const {
    const TemporaryFile answer(directory_);
    const FileDescriptor file(open(answer.path().c_str(), O_WRONLY | O_CLOEXEC));
    const auto called = call(std::move(arguments), {.output = file.get()});
    return called ? Result<std::string>(content_of(answer.path())) : std::unexpected(called.error());
}

Result<std::string> Runtime::stats(const std::string& id) const {
    return call_for_text({"events", "--stats", id});
}

bool Runtime::is_unstarted(const std::string& id) const {
    const auto state = call_for_text({"state", id});
    JsonReader reader("state");
    return state && reader.parse(*state).find("status").string() == "created";
}

Result<void> Runtime::update(const std::string& id, const std::string& resources) const {
    const TemporaryFile file(directory_, resources);
    return call({"update", "--resources", file.path(), id});
}

Result<pid_t> Runtime::exec(const std::string& id, const std::string& process, const std::string& console,
                            const Streams& streams) const {
    const TemporaryFile file(directory_, process);
    return call_for_pid({"exec", "--detach", "--process", file.path()}, console, id, streams);
}

} // namespace strata::instance
