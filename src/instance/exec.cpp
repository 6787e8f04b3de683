#include "instance/exec.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "instance/attachment.hpp"
#include "instance/console.hpp"
#include "instance/root_access.hpp"
#include "instance/runtime.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace strata::instance {
namespace {

int wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return 255;
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Serves one who is attached, as the monitor does, between a terminal and a socket; in a process of its own,
// so that attaching is one piece of code.
[[noreturn]] void serve_terminal(int terminal, int socket) {
    std::array<char, longest_packet> buffer{};
    while (true) {
        std::array<pollfd, 2> files{pollfd{terminal, POLLIN, 0}, pollfd{socket, POLLIN, 0}};
        if (poll(files.data(), files.size(), -1) < 0 && errno != EINTR) {
            _exit(1);
        }
        if (files[0].revents != 0) {
            const auto size = read(terminal, buffer.data(), buffer.size() - 1);
            if (size <= 0 && errno != EINTR) {
                const char code = 0;
                static_cast<void>(send_packet(socket, Packet::exit, {&code, 1}));
                _exit(0);
            }
            static_cast<void>(
                send_packet(socket, Packet::output, {buffer.data(), static_cast<std::size_t>(size)}));
        }
        if (files[1].revents != 0) {
            const auto size = recv(socket, buffer.data(), buffer.size(), 0);
            if (size <= 0) {
                _exit(0);
            }
            const std::string_view data(buffer.data() + 1, static_cast<std::size_t>(size) - 1);
            if (static_cast<Packet>(buffer[0]) == Packet::input) {
                static_cast<void>(write_all(terminal, data, "terminal"));
            } else if (static_cast<Packet>(buffer[0]) == Packet::resize && data.size() == 4) {
                const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
                const winsize window{.ws_row = static_cast<unsigned short>(bytes[0] | bytes[1] << 8),
                                     .ws_col = static_cast<unsigned short>(bytes[2] | bytes[3] << 8),
                                     .ws_xpixel = 0,
                                     .ws_ypixel = 0};
                ioctl(terminal, TIOCSWINSZ, &window);
            }
        }
    }
}

Result<int> carry_terminal(const ConsoleSocket& console, pid_t pid, bool interactive) {
    const auto terminal = console.receive();
    std::array<int, 2> ends{};
    if (!terminal || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return terminal ? fail_errno("make", "a socket pair") : std::unexpected(terminal.error());
    }
    const pid_t server = fork();
    if (server == 0) {
        close(ends[0]);
        signal(SIGINT, SIG_IGN);
        serve_terminal(terminal->get(), ends[1]);
    }
    close(ends[1]);
    const FileDescriptor socket(ends[0]);
    const int left = carry_streams(socket.get(), {.terminal = true, .input = interactive, .forward = false});
    if (left == -2) { // the program goes on without us
        kill(server, SIGTERM);
        return 0;
    }
    const int code = wait_for(pid);
    kill(server, SIGTERM);
    wait_for(server);
    return code;
}

} // namespace

Result<int> exec(const Instances& instances, const Instance& instance, const ExecOptions& options) {
    if (!instance.alive()) {
        return fail(fmt::format("container {} does not run", instance.name), "strata start starts it");
    }
    if (instance.status == Status::paused) {
        return fail(fmt::format("container {} is paused", instance.name), "strata unpause lets it go on");
    }
    const auto root = open_root(instances, instance);
    if (!root) {
        return std::unexpected(root.error());
    }
    const auto user = resolve_user(root->get(), options.user.empty() ? instance.settings.user : options.user,
                                   instance.settings.groups);
    if (!user) {
        return std::unexpected(user.error());
    }
    const auto process = exec_process(instance, options.execution, *user);
    if (!process) {
        return std::unexpected(process.error());
    }
    const auto run = instances.directory() + "/run";
    const Runtime runtime(run);
    prctl(PR_SET_CHILD_SUBREAPER, 1); // the program becomes this process's child
    if (options.execution.terminal && !options.detached) {
        const auto console = ConsoleSocket::open(run);
        if (!console) {
            return std::unexpected(console.error());
        }
        const auto pid = runtime.exec(instance.id, *process, console->path(), {});
        return pid ? carry_terminal(*console, *pid, options.interactive) : std::unexpected(pid.error());
    }
    Streams streams;
    if (!options.detached) {
        streams = {.input = options.interactive ? STDIN_FILENO : -1,
                   .output = STDOUT_FILENO,
                   .error = STDERR_FILENO};
    }
    const auto pid = runtime.exec(instance.id, *process, "", streams);
    if (!pid) {
        return std::unexpected(pid.error());
    }
    return options.detached ? 0 : wait_for(*pid);
}

} // namespace strata::instance
