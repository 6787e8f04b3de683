#include "native.hpp"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace strata::oracle {

namespace {

constexpr int patience_ms = 3000; // for a batch; one takes a few milliseconds

// False when the process died or does not come to an end.
bool read_token(int fd) {
    pollfd wait{fd, POLLIN, 0};
    char token;
    return poll(&wait, 1, patience_ms) == 1 && read(fd, &token, 1) == 1;
}

} // namespace

NativeProcessor::NativeProcessor(std::string program, unsigned width, FileDescriptor memory, Mailbox* mailbox)
    : program_(std::move(program)), width_(std::to_string(width)), memory_(std::move(memory)),
      mailbox_(mailbox) {}

NativeProcessor::~NativeProcessor() {
    reap();
    munmap(mailbox_, sizeof(Mailbox));
}

Result<std::unique_ptr<NativeProcessor>>
NativeProcessor::start(std::string program, unsigned width, const std::array<std::uint8_t, page>& constant) {
    FileDescriptor memory(memfd_create("oracle-mailbox", MFD_CLOEXEC));
    if (!memory || ftruncate(memory.get(), sizeof(Mailbox)) != 0) {
        return fail_errno("create", "the mailbox");
    }
    void* mapping = mmap(nullptr, sizeof(Mailbox), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (mapping == MAP_FAILED) {
        return fail_errno("map", "the mailbox");
    }
    auto* mailbox = static_cast<Mailbox*>(mapping);
    mailbox->constant = constant;
    std::unique_ptr<NativeProcessor> native(
        new NativeProcessor(std::move(program), width, std::move(memory), mailbox));
    if (auto spawned = native->spawn(); !spawned) {
        return std::unexpected(spawned.error());
    }
    return native;
}

Result<void> NativeProcessor::spawn() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("create", "a socket pair");
    }
    FileDescriptor ours(ends[0]), theirs(ends[1]);

    pid_ = fork();
    if (pid_ < 0) {
        return fail_errno("start", program_);
    }
    if (pid_ == 0) {
        // Out of the way of the numbers that the process expects first.
        constexpr int low = 10;
        const int memory = fcntl(memory_.get(), F_DUPFD_CLOEXEC, low);
        const int channel = fcntl(theirs.get(), F_DUPFD_CLOEXEC, low);
        if (dup2(memory, mailbox_fd) < 0 || dup2(channel, channel_fd) < 0) {
            _exit(1);
        }
        execl(program_.c_str(), program_.c_str(), width_.c_str(), nullptr);
        _exit(127);
    }
    channel_ = std::move(ours);
    theirs.reset(); // so that the process's death is seen as an end of file
    if (!read_token(channel_.get())) {
        reap();
        return fail("no native process for " + width_ + "-bit code",
                    "the host or its hypervisor may lack code segments of that width");
    }
    return {};
}

void NativeProcessor::reap() {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
}

Result<void> NativeProcessor::command(std::uint32_t first) {
    mailbox_->first = first;
    mailbox_->count = count_;
    const char token = 1;
    if (send(channel_.get(), &token, 1, MSG_NOSIGNAL) != 1) {
        return fail_errno("command", program_);
    }
    return {};
}

Result<void> NativeProcessor::submit(std::uint32_t count) {
    count_ = count;
    return command(0);
}

Result<std::span<const Outcome>> NativeProcessor::collect() {
    while (!read_token(channel_.get())) {
        reap();
        const std::uint32_t lost = mailbox_->completed;
        mailbox_->outputs[lost].ending = Ending::lost;
        if (auto spawned = spawn(); !spawned) {
            return std::unexpected(spawned.error());
        }
        // Even with nothing left to run the process answers, so that every collect() ends the same way.
        if (auto sent = command(lost + 1); !sent) {
            return std::unexpected(sent.error());
        }
    }
    return std::span<const Outcome>(mailbox_->outputs).first(count_);
}

} // namespace strata::oracle
