#include "container/criu/service.hpp"

#include "base/pipe.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

namespace strata::container {
namespace {

constexpr int exit_no_criu = 127;

Error no_criu() {
    return Error{"checkpoint and restore need CRIU, which is not installed", "install the package criu"};
}

class CriuProcess {
public:
    // It waits for release().
    static Result<CriuProcess> start(const std::vector<int>& inherited);

    CriuProcess(CriuProcess&& other) noexcept
        : socket_(std::move(other.socket_)), pid_(std::exchange(other.pid_, 0)) {}

    CriuProcess& operator=(CriuProcess&&) = delete;
    CriuProcess(const CriuProcess&) = delete;
    CriuProcess& operator=(const CriuProcess&) = delete;

    ~CriuProcess() {
        if (pid_ > 0) {
            (void)wait();
        }
    }

    [[nodiscard]] pid_t pid() const { return pid_; }

    Result<void> send(std::string_view bytes) const {
        if (::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
            return fail_errno("speak to", "criu");
        }
        return {};
    }

    // The next answer, and the descriptor that came with it.
    Result<MessageReader> receive(FileDescriptor& descriptor) const;

    // How it ended. After some answers it would wait for more requests, so the line is closed first.
    int wait() {
        socket_.reset();
        const int status = wait_for_end(std::exchange(pid_, 0));
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    CriuProcess(FileDescriptor socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}

    FileDescriptor socket_;
    pid_t pid_;
};

[[noreturn]] void become_criu(int socket, const std::vector<int>& inherited) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    char byte = 0;
    if (::recv(socket, &byte, 1, 0) != 1) {
        ::_exit(exit_no_criu);
    }
    const int null = ::open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; ++fd) {
        ::dup2(null, fd); // what it has to say is in its log
    }
    ::fcntl(socket, F_SETFD, 0);
    for (const int fd : inherited) {
        ::fcntl(fd, F_SETFD, 0);
    }
    const std::string number = std::to_string(socket);
    ::execlp("criu", "criu", "swrk", number.c_str(), static_cast<char*>(nullptr));
    ::_exit(exit_no_criu);
}

Result<CriuProcess> CriuProcess::start(const std::vector<int>& inherited) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("make", "a pair of sockets");
    }
    FileDescriptor own(ends[0]);
    const FileDescriptor other(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) {
        return fail_errno("start", "criu");
    }
    if (pid == 0) {
        own.reset();
        become_criu(other.get(), inherited);
    }
    return CriuProcess(std::move(own), pid);
}

Result<MessageReader> CriuProcess::receive(FileDescriptor& descriptor) const {
    char buffer[65536];
    iovec part{.iov_base = buffer, .iov_len = sizeof buffer};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t size = 0;
    do {
        size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size <= 0) {
        return fail("criu ended without an answer");
    }
    const cmsghdr* item = CMSG_FIRSTHDR(&header);
    if (item != nullptr && item->cmsg_type == SCM_RIGHTS && item->cmsg_len == CMSG_LEN(sizeof(int))) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(item), sizeof fd);
        descriptor.reset(fd);
    }
    return MessageReader::parse({buffer, static_cast<std::size_t>(size)});
}

// Serves notifications until the answer to the request comes.
Result<MessageReader> converse(const CriuProcess& process, const CriuRequest& request) {
    while (true) {
        FileDescriptor descriptor;
        auto answer = process.receive(descriptor);
        if (!answer || answer->number(criu::response::type) != criu::Kind::notify) {
            return answer;
        }
        const auto told = answer->message(criu::response::notify);
        Result<void> done;
        if (request.on_notification) {
            done = request.on_notification(
                {.step = told.text(criu::notification::script).value_or(""),
                 .pid = static_cast<pid_t>(told.number(criu::notification::pid).value_or(0)),
                 .descriptor = std::move(descriptor)});
        }
        MessageWriter reply;
        reply.number(criu::request::type, criu::Kind::notify);
        reply.number(criu::request::notify_success, done ? 1 : 0);
        if (auto sent = process.send(reply.bytes()); !sent || !done) {
            return std::unexpected(done ? sent.error() : done.error());
        }
    }
}

} // namespace

Result<MessageReader> ask_criu(CriuRequest request) {
    auto process = CriuProcess::start(request.inherited);
    if (!process) {
        return std::unexpected(process.error());
    }
    if (request.on_process) {
        if (auto done = request.on_process(process->pid(), request.options); !done) {
            return std::unexpected(done.error());
        }
    }
    MessageWriter message;
    message.number(criu::request::type, request.kind);
    message.message(criu::request::opts, request.options);
    auto sent = process->send(std::string_view("", 1)); // it may begin
    sent = sent ? process->send(message.bytes()) : sent;
    auto answer = sent ? converse(*process, request) : std::unexpected(sent.error());
    const int status = process->wait();
    if (status == exit_no_criu) {
        return std::unexpected(no_criu());
    }
    if (answer && answer->number(criu::response::success) != 1) {
        return std::unexpected(Error{"criu refused", "", ECANCELED});
    }
    return answer;
}

std::string first_error(const std::string& log) {
    for (auto at = log.find("Error ("); at != std::string::npos; at = log.find("Error (", at + 1)) {
        auto line = log.substr(at, log.find('\n', at) - at);
        // It tries helpers of the host's, and does without those that are missing.
        if (!line.starts_with("Error (criu/util.c:")) {
            return line;
        }
    }
    return "";
}

Result<void> check_criu() {
    auto output = make_pipe();
    const pid_t pid = output ? ::fork() : -1;
    if (pid < 0) {
        return fail_errno("start", "criu");
    }
    if (pid == 0) {
        ::dup2(output->write_end.get(), 1);
        ::dup2(output->write_end.get(), 2);
        ::execlp("criu", "criu", "check", static_cast<char*>(nullptr));
        ::_exit(exit_no_criu);
    }
    output->write_end.reset();
    const auto text = read_until_closed(output->read_end);
    const int status = wait_for_end(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == exit_no_criu) {
        return std::unexpected(no_criu());
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fail("CRIU does not work on this host: " + first_error(text.value_or("")),
                    "criu check tells more; a newer CRIU may know this kernel");
    }
    return {};
}

} // namespace strata::container
