#include "vm/control/server.hpp"

#include "vm/control/machine_name.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::vm::control {
namespace {

constexpr std::size_t most_clients = 16, longest_line = 4096;

// False: the client is gone, or does not read.
bool send_line(int connection, std::string line) {
    line += '\n';
    for (std::string_view rest = line; !rest.empty();) {
        const ssize_t sent = ::send(connection, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return false;
        }
        rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

} // namespace

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, const std::string& machine, Answer answer) {
    const auto path = socket_path(machine);
    if (!path) {
        return std::unexpected(path.error());
    }
    if (auto made = make_socket_folder(); !made) {
        return std::unexpected(made.error());
    }
    // A socket is made in two steps: between them another machine would take it for a stale one.
    const auto lock = lock_socket_folder();
    if (!lock) {
        return std::unexpected(lock.error());
    }
    auto listener = listen_on_path(*path);
    if (!listener) {
        if (listener.error().code == EADDRINUSE) {
            return fail("a virtual machine named " + machine + " is running already",
                        "choose another --name");
        }
        return std::unexpected(listener.error());
    }
    constexpr mode_t owner_only = 0600;
    if (::chmod(path->c_str(), owner_only) != 0) {
        return fail_errno("protect", *path);
    }
    return std::unique_ptr<Server>(new Server(loop, std::move(*listener), std::move(answer)));
}

Server::Server(EventLoop& loop, Listener listener, Answer answer)
    : loop_(loop), listener_(std::move(listener)), answer_(std::move(answer)) {
    loop_.watch(listener_.socket.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
}

Server::~Server() {
    while (!clients_.empty()) {
        hang_up(clients_.begin()->first);
    }
    loop_.unwatch(listener_.socket.get());
    ::unlink(listener_.path.c_str());
}

void Server::accept() {
    FileDescriptor connection(
        ::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection || clients_.size() == most_clients) {
        return;
    }
    const int number = connection.get();
    clients_[number].connection = std::move(connection);
    loop_.watch(number, EPOLLIN, [this, number](std::uint32_t) { receive(number); });
}

void Server::receive(int connection) {
    Client& client = clients_.at(connection);
    std::array<char, longest_line> buffer;
    const ssize_t size = ::recv(connection, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        hang_up(connection);
        return;
    }
    client.received.append(buffer.data(), static_cast<std::size_t>(size));
    answer_lines(client);
}

void Server::answer_lines(Client& client) {
    const int connection = client.connection.get();
    std::size_t begin = 0;
    for (std::size_t end; (end = client.received.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const std::string_view line = std::string_view(client.received).substr(begin, end - begin);
        if (!send_line(connection, answer_(line))) {
            hang_up(connection);
            return;
        }
    }
    client.received.erase(0, begin);
    if (client.received.size() > longest_line) {
        hang_up(connection);
    }
}

void Server::hang_up(int connection) {
    loop_.unwatch(connection);
    clients_.erase(connection);
}

} // namespace strata::vm::control
