#include "vm/gdb/server.hpp"

#include <array>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace strata::vm::gdb {
namespace {

// "PORT" and ":PORT" are the loopback interface's: whoever drives the machine by its debugger owns it.
Result<Listener> listen_for_gdb(const std::string& text) {
    std::string_view path = text;
    if (take_prefix(path, "unix:")) {
        return listen_on_path(std::string(path));
    }
    const auto colon = text.rfind(':');
    const bool loopback = colon == std::string::npos || colon == 0;
    return listen_on_port(loopback ? "127.0.0.1" : text.substr(0, colon),
                          colon == std::string::npos ? text : text.substr(colon + 1));
}

} // namespace

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, Target& target, const std::string& address,
                                               std::function<void()> attach) {
    auto listener = listen_for_gdb(address);
    if (!listener) {
        listener.error().message = "--gdb: " + listener.error().message;
        return std::unexpected(listener.error());
    }
    return std::unique_ptr<Server>(new Server(loop, target, std::move(*listener), std::move(attach)));
}

Server::Server(EventLoop& loop, Target& target, Listener listener, std::function<void()> attach)
    : loop_(loop), target_(target), listener_(std::move(listener)), attach_(std::move(attach)) {
    loop_.watch(listener_.socket.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
}

Server::~Server() {
    hang_up();
    loop_.unwatch(listener_.socket.get());
    if (!listener_.path.empty()) {
        unlink(listener_.path.c_str());
    }
}

void Server::accept() {
    FileDescriptor connection(accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
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
