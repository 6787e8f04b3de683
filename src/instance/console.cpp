#include "instance/console.hpp"

#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace strata::instance {
namespace {

constexpr auto console_name = "console";

sockaddr_un address_of(int directory, const std::string& name) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    const auto path = fmt::format("/proc/self/fd/{}/{}", directory, name);
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

} // namespace

Result<FileDescriptor> listen_at(int directory, const std::string& name, int type) {
    unlinkat(directory, name.c_str(), 0);
    FileDescriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    const auto address = address_of(directory, name);
    if (!socket || bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(socket.get(), 16) != 0) {
        return fail_errno("listen at socket", name);
    }
    return socket;
}

Result<FileDescriptor> connect_to(const std::string& directory, const std::string& name, int type) {
    const FileDescriptor place(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    FileDescriptor socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    const auto address = address_of(place.get(), name);
    if (!place || !socket ||
        connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail_errno("connect to the monitor of", directory.substr(directory.rfind('/') + 1));
    }
    return socket;
}

Result<ConsoleSocket> ConsoleSocket::open(const std::string& directory) {
    std::string own = directory + "/console-XXXXXX";
    if (mkdtemp(own.data()) == nullptr) {
        return fail_errno("make a directory in", directory);
    }
    FileDescriptor place(::open(own.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto socket = listen_at(place.get(), console_name, SOCK_STREAM);
    auto path = fmt::format("/proc/{}/fd/{}/{}", getpid(), place.get(), console_name);
    if (!socket) {
        return std::unexpected(socket.error());
    }
    return ConsoleSocket(std::move(place), std::move(*socket), std::move(path));
}

ConsoleSocket::~ConsoleSocket() {
    if (directory_) {
        unlinkat(directory_.get(), console_name, 0);
        char path[4096] = "";
        if (readlink(fmt::format("/proc/self/fd/{}", directory_.get()).c_str(), path, sizeof path - 1) > 0) {
            rmdir(path);
        }
    }
}

Result<FileDescriptor> ConsoleSocket::receive() const {
    const FileDescriptor peer(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) {
        return fail_errno("receive", "the terminal");
    }
    char name[4096];
    iovec text{.iov_base = name, .iov_len = sizeof name};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &text;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(peer.get(), &message, MSG_CMSG_CLOEXEC) < 0) {
        return fail_errno("receive", "the terminal");
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) {
        return fail("the container runtime sent no terminal");
    }
    int terminal = -1;
    std::memcpy(&terminal, CMSG_DATA(header), sizeof terminal);
    return FileDescriptor(terminal);
}

} // namespace strata::instance
