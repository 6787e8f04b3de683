#include "container/process/hooks.hpp"

#include "base/file_descriptor.hpp"
#include "container/kernel/system_calls.hpp"

#include <csignal>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace strata::container {
namespace {

[[noreturn]] void become_hook(const Hook& hook, int state, int errors) {
    std::vector<char*> args, env;
    const auto add = [](std::vector<char*>& list, const std::string& text) {
        list.push_back(const_cast<char*>(text.c_str()));
    };
    for (const auto& arg : hook.args) {
        add(args, arg);
    }
    if (args.empty()) {
        add(args, hook.path);
    }
    for (const auto& variable : hook.env) {
        add(env, variable);
    }
    args.push_back(nullptr);
    env.push_back(nullptr);
    ::dup2(state, 0);
    ::dup2(errors, 2);
    sys::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(hook.path.c_str(), args.data(), env.data());
    const std::string text = std::generic_category().message(errno);
    (void)!::write(2, text.data(), text.size());
    ::_exit(127);
}

std::string read_all(int fd) {
    constexpr std::size_t most = 1024;
    std::string text(most, '\0');
    const auto size = ::pread(fd, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    return text.empty() ? text : ": " + text;
}

Result<void> wait_for_hook(pid_t pid, int pidfd, const Hook& hook, const std::string& name) {
    pollfd wait{.fd = pidfd, .events = POLLIN, .revents = 0};
    int ready = 0;
    do {
        ready = ::poll(&wait, 1, hook.timeout ? *hook.timeout * 1000 : -1);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        ::kill(pid, SIGKILL);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (ready == 0) {
        return fail(name + " did not end within " + std::to_string(*hook.timeout) + " s");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return {};
    }
    return fail(name + (WIFEXITED(status) ? " ended with status " + std::to_string(WEXITSTATUS(status))
                                          : " was killed by signal " + std::to_string(WTERMSIG(status))));
}

Result<void> run_hook(const Hook& hook, const std::string& name, const std::string& state) {
    const FileDescriptor input(::memfd_create("state", MFD_CLOEXEC)),
        errors(::memfd_create("errors", MFD_CLOEXEC));
    if (!input || !errors ||
        ::pwrite(input.get(), state.data(), state.size(), 0) != static_cast<ssize_t>(state.size())) {
        return fail_errno("make", "the input of " + name);
    }
    int pidfd = -1;
    const pid_t pid = sys::clone_process(0, SIGCHLD, &pidfd);
    if (pid < 0) {
        return fail_errno("start", name);
    }
    if (pid == 0) {
        become_hook(hook, input.get(), errors.get());
    }
    const FileDescriptor process(pidfd);
    auto ended = wait_for_hook(pid, process.get(), hook, name);
    if (!ended) {
        ended.error().message += read_all(errors.get());
    }
    return ended;
}

} // namespace

Result<void> run_hooks(const std::vector<Hook>& hooks, const std::string& kind, const std::string& state) {
    for (const Hook& hook : hooks) {
        if (auto ran = run_hook(hook, kind + " hook " + hook.path, state); !ran) {
            return ran;
        }
    }
    return {};
}

void run_late_hooks(const std::vector<Hook>& hooks, const std::string& kind, const std::string& state) {
    for (const Hook& hook : hooks) {
        if (auto ran = run_hooks({hook}, kind, state); !ran) {
            const std::string line = "warning: " + ran.error().message + "\n";
            (void)!::write(2, line.data(), line.size());
        }
    }
}

} // namespace strata::container
