#include "vm/gdb/server.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>

namespace strata::vm::gdb {
namespace {

constexpr std::string_view address_hint = "use --gdb PORT, --gdb ADDRESS:PORT or --gdb unix:PATH";

Result<FileDescriptor> bind_and_listen(int family, const sockaddr* address, socklen_t size,
                                       const std::string& text) {
    FileDescriptor listener(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    if (!listener || setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener.get(), address, size) != 0 || listen(listener.get(), 1) != 0) {
        return fail_errno("listen for GDB at", text, errno, "is another debugger's server there already?");
    }
    return listener;
}

Result<FileDescriptor> listen_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return fail("--gdb unix:" + path + ": the path is empty or too long for a socket",
                    std::string(address_hint));
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    std::error_code absent;
    if (std::filesystem::is_socket(path, absent)) {
        unlink(path.c_str()); // of an earlier session; any other file makes bind() fail
    }
    return bind_and_listen(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, path);
}

Result<FileDescriptor> listen_tcp(const std::string& text) {
    const auto colon = text.rfind(':');
    const std::string host = colon == std::string::npos || colon == 0 ? "127.0.0.1" : text.substr(0, colon);
    const std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
    const addrinfo hints{.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
                         .ai_family = AF_UNSPEC,
                         .ai_socktype = SOCK_STREAM,
                         .ai_protocol = 0,
                         .ai_addrlen = 0,
                         .ai_addr = nullptr,
                         .ai_canonname = nullptr,
                         .ai_next = nullptr};
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
        return fail("--gdb " + text + ": " + gai_strerror(error), std::string(address_hint));
    }
    auto listener = bind_and_listen(found->ai_family, found->ai_addr, found->ai_addrlen, text);
    freeaddrinfo(found);
    return listener;
}

} // namespace

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, Target& target, const std::string& address,
                                               std::function<void()> attach) {
    std::string_view text = address;
    auto listener = take_prefix(text, "unix:") ? listen_unix(std::string(text)) : listen_tcp(address);
    if (!listener) {
        return std::unexpected(listener.error());
    }
    return std::unique_ptr<Server>(new Server(loop, target, std::move(*listener), std::move(attach)));
}

Server::Server(EventLoop& loop, Target& target, FileDescriptor listener, std::function<void()> attach)
    : loop_(loop), target_(target), listener_(std::move(listener)), attach_(std::move(attach)) {
    loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
}

Server::~Server() {
    hang_up();
    loop_.unwatch(listener_.get());
}

void Server::accept() {
    FileDescriptor connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection || session_) {
        return; // a second debugger is turned away: the first has the machine
    }
    const int yes = 1;
    setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connection_ = std::move(connection);
    attach_();
    session_ = std::make_unique<Session>(target_, [this](std::string_view bytes) { send(bytes); });
    loop_.watch(connection_.get(), EPOLLIN, [this](std::uint32_t) { receive(); });
}

void Server::receive() {
    std::array<std::byte, 4096> buffer{};
    const ssize_t size = recv(connection_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) {
        session_->receive(std::span(buffer).first(static_cast<std::size_t>(size)));
    }
    const bool gone = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (gone && !session_->finished()) {
        target_.detach(); // a debugger that just vanishes leaves the machine running
    }
    if (gone || session_->finished()) {
        hang_up();
    }
}

void Server::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return; // receive() will see that it is gone
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void Server::hang_up() {
    if (session_) {
        loop_.unwatch(connection_.get());
        session_.reset();
        connection_.reset();
    }
}

void Server::stopped(const Stop& stop) {
    if (session_) {
        session_->stopped(stop);
        if (session_->finished()) {
            hang_up();
        }
    }
}

} // namespace strata::vm::gdb
