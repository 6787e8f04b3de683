#include "instance/network/proxy.hpp"

#include "base/file_descriptor.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace strata::instance {
namespace {

constexpr std::size_t most_peers = 1024; // of a UDP port at one time; the oldest makes way

struct Endpoint {
    sockaddr_storage address{};
    socklen_t size = 0;
};

Result<Endpoint> endpoint(const std::string& text, std::uint16_t port) {
    Endpoint result;
    auto& four = reinterpret_cast<sockaddr_in&>(result.address);
    auto& six = reinterpret_cast<sockaddr_in6&>(result.address);
    auto plain = text;
    if (plain.starts_with('[') && plain.ends_with(']')) {
        plain = plain.substr(1, plain.size() - 2);
    }
    if (inet_pton(AF_INET, plain.empty() ? "0.0.0.0" : plain.c_str(), &four.sin_addr) == 1) {
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        result.size = sizeof four;
    } else if (inet_pton(AF_INET6, plain.c_str(), &six.sin6_addr) == 1) {
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(port);
        result.size = sizeof six;
    } else {
        return fail(fmt::format("'{}' is not an address of this host", text),
                    "a port is published as 127.0.0.1:8080:80");
    }
    return result;
}

Result<FileDescriptor> listen_on(Port& port) {
    auto place = endpoint(port.host_address, port.host);
    if (!place) {
        return std::unexpected(place.error());
    }
    const bool tcp = port.protocol == "tcp";
    FileDescriptor socket(::socket(place->address.ss_family,
                                   (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    auto* address = reinterpret_cast<sockaddr*>(&place->address);
    if (!socket || (tcp && setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) ||
        bind(socket.get(), address, place->size) != 0 || (tcp && listen(socket.get(), SOMAXCONN) != 0)) {
        return fail_errno("publish port", fmt::format("{}/{}", port.host, port.protocol), errno,
                          errno == EACCES ? "without root use a port from 1024 on"
                                          : "another program may have the port: use another one");
    }
    getsockname(socket.get(), address, &place->size);
    port.host =
        ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port); // at the same place for both families
    return socket;
}

class Proxy {
public:
    Proxy(std::vector<FileDescriptor> listeners, std::vector<Port> ports, std::string address)
        : listeners_(std::move(listeners)), ports_(std::move(ports)), address_(std::move(address)) {}

    [[noreturn]] void run() {
        for (std::size_t i = 0; i < listeners_.size(); ++i) {
            watch(listeners_[i].get(), EPOLLIN);
        }
        std::array<epoll_event, 64> events{};
        while (true) {
            const int count = epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < count; ++i) {
                handle(events[static_cast<std::size_t>(i)].data.fd);
            }
        }
    }

private:
    // One direction of a connection: bytes on the way from `from` to `to`.
    struct Side {
        int fd = -1;
        std::array<char, 32768> buffer{};
        std::size_t begin = 0, end = 0;
        bool finished = false; // nothing more comes from it
    };

    struct Connection {
        FileDescriptor client, server;
        Side from_client, from_server;
        std::size_t port = 0;
        bool datagrams = false;
        Endpoint peer{};
    };

    void watch(int fd, unsigned events) {
        epoll_event event{.events = events, .data = {.fd = fd}};
        if (epoll_ctl(poll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
            epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event);
        }
    }

    void handle(int fd) {
        for (std::size_t i = 0; i < listeners_.size(); ++i) {
            if (listeners_[i].get() == fd) {
                ports_[i].protocol == "tcp" ? accept_connection(i) : take_datagram(i);
                return;
            }
        }
        const auto found = connections_.find(fd);
        if (found == connections_.end()) {
            return;
        }
        const auto connection = found->second;
        if (connection->datagrams) {
            return_datagram(*connection);
        } else if (!carry(*connection)) {
            connections_.erase(connection->client.get());
            connections_.erase(connection->server.get());
        }
    }

    FileDescriptor connect_to_container(std::size_t port, int type) {
        const auto place = endpoint(address_, ports_[port].container);
        FileDescriptor socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (place && socket &&
            connect(socket.get(), reinterpret_cast<const sockaddr*>(&place->address), place->size) != 0 &&
            errno != EINPROGRESS) {
            socket.reset();
        }
        return socket;
    }

    void accept_connection(std::size_t port) {
        FileDescriptor client(
            accept4(listeners_[port].get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        auto server = client ? connect_to_container(port, SOCK_STREAM) : FileDescriptor();
        if (!server) {
            return;
        }
        auto connection = std::make_shared<Connection>();
        connection->from_client.fd = client.get();
        connection->from_server.fd = server.get();
        connection->client = std::move(client);
        connection->server = std::move(server);
        connections_[connection->client.get()] = connections_[connection->server.get()] = connection;
        watch(connection->client.get(), EPOLLIN);
        watch(connection->server.get(), EPOLLIN | EPOLLOUT);
    }

    // False when the connection is over.
    bool carry(Connection& connection) {
        if (!move(connection.from_client, connection.server.get()) ||
            !move(connection.from_server, connection.client.get())) {
            return false;
        }
        const auto wants = [](const Side& own, const Side& other) {
            const bool reads = !own.finished && own.end == 0;
            return (reads ? EPOLLIN : 0U) | (other.end > other.begin ? EPOLLOUT : 0U);
        };
        watch(connection.client.get(), wants(connection.from_client, connection.from_server));
        watch(connection.server.get(), wants(connection.from_server, connection.from_client));
        return !(connection.from_client.finished && connection.from_server.finished);
    }

    static bool move(Side& side, int to) {
        if (side.end == 0 && !side.finished) {
            const auto got = recv(side.fd, side.buffer.data(), side.buffer.size(), 0);
            if (got < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) {
                return false;
            }
            side.end = got > 0 ? static_cast<std::size_t>(got) : 0;
            if (got == 0) {
                side.finished = true;
                shutdown(to, SHUT_WR);
            }
        }
        while (side.begin < side.end) {
            const auto sent = send(to, side.buffer.data() + side.begin, side.end - side.begin, MSG_NOSIGNAL);
            if (sent < 0) {
                return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
            }
            side.begin += static_cast<std::size_t>(sent);
        }
        side.begin = side.end = 0;
        return true;
    }

    void take_datagram(std::size_t port) {
        Endpoint peer{.size = sizeof(sockaddr_storage)};
        std::array<char, 65536> buffer{};
        const auto got = recvfrom(listeners_[port].get(), buffer.data(), buffer.size(), 0,
                                  reinterpret_cast<sockaddr*>(&peer.address), &peer.size);
        if (got < 0) {
            return;
        }
        const std::string key =
            std::to_string(port) + std::string(reinterpret_cast<const char*>(&peer.address), peer.size);
        auto& connection = peers_[key];
        if (!connection) {
            auto server = connect_to_container(port, SOCK_DGRAM);
            if (!server) {
                peers_.erase(key);
                return;
            }
            connection = std::make_shared<Connection>();
            connection->server = std::move(server);
            connection->datagrams = true;
            connection->port = port;
            connection->peer = peer;
            connections_[connection->server.get()] = connection;
            watch(connection->server.get(), EPOLLIN);
        }
        send(connection->server.get(), buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
        if (peers_.size() > most_peers) {
            const auto victim = peers_.begin()->first == key ? std::next(peers_.begin()) : peers_.begin();
            connections_.erase(victim->second->server.get());
            peers_.erase(victim);
        }
    }

    void return_datagram(Connection& connection) {
        std::array<char, 65536> buffer{};
        const auto got = recv(connection.server.get(), buffer.data(), buffer.size(), 0);
        if (got >= 0) {
            sendto(listeners_[connection.port].get(), buffer.data(), static_cast<std::size_t>(got), 0,
                   reinterpret_cast<const sockaddr*>(&connection.peer.address), connection.peer.size);
        }
    }

    std::vector<FileDescriptor> listeners_;
    std::vector<Port> ports_;
    std::string address_;
    FileDescriptor poll_{epoll_create1(EPOLL_CLOEXEC)};
    std::map<int, std::shared_ptr<Connection>> connections_{}; // by both sockets
    std::map<std::string, std::shared_ptr<Connection>> peers_{};
};

} // namespace

Result<HelperProcess> publish_ports(std::vector<Port>& ports, const std::string& address, int space) {
    std::vector<FileDescriptor> listeners;
    std::vector<int> kept;
    for (auto& port : ports) {
        auto listener = listen_on(port);
        if (!listener) {
            return std::unexpected(listener.error());
        }
        kept.push_back(listener->get());
        listeners.push_back(std::move(*listener));
    }
    if (space >= 0) {
        kept.push_back(space);
    }
    return HelperProcess::start("strata-ports", kept, [&] {
        // What listens stays where it is; what is made from now on is there.
        if (space < 0 || setns(space, CLONE_NEWNET) == 0) {
            drop_privileges();
            Proxy(std::move(listeners), ports, address).run();
        }
    });
}

} // namespace strata::instance
