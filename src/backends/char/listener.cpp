#include "backends/char/listener.hpp"

#include <filesystem>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace strata::backends {

namespace {

constexpr int backlog = 1;

FileDescriptor new_socket(int family) {
    return FileDescriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// A socket file whose server is gone refuses connections.
bool is_stale(const sockaddr_un& address) {
    const auto probe = new_socket(AF_UNIX);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ECONNREFUSED;
}

Result<Listener> listen_on_path(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return fail("socket path '" + path + "' is empty or too long");
    }
    path.copy(address.sun_path, path.size());
    std::error_code absent;
    if (std::filesystem::is_socket(path, absent) && is_stale(address)) {
        unlink(path.c_str());
    }
    auto socket = new_socket(AF_UNIX);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), backlog) != 0) {
        return fail_errno("listen on", path);
    }
    return Listener{std::move(socket), path, path};
}

std::uint16_t port_of(int socket) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
    return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

Result<Listener> listen_on_port(std::string host, const std::string& port, const std::string& text) {
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found)) {
        return fail("cannot listen on " + text + ": " + gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
    auto socket = new_socket(found->ai_family);
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
        ::listen(socket.get(), backlog) != 0) {
        return fail_errno("listen on", text);
    }
    const auto bound = text.substr(0, text.rfind(':') + 1) + std::to_string(port_of(socket.get()));
    return Listener{std::move(socket), {}, bound};
}

} // namespace

Result<Listener> listen_on(const std::string& address) {
    const auto colon = address.rfind(':');
    if (colon == std::string::npos || address.find('/') != std::string::npos) {
        return listen_on_path(address);
    }
    return listen_on_port(address.substr(0, colon), address.substr(colon + 1), address);
}

} // namespace strata::backends
