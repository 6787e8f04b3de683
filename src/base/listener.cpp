#include "base/listener.hpp"

#include "base/open_file.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace strata {

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

Result<FileDescriptor> bind_and_listen(int family, const sockaddr* address, socklen_t size,
                                       const std::string& text) {
    auto socket = new_socket(family);
    const int on = 1;
    if (!socket || setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket.get(), address, size) != 0 || ::listen(socket.get(), backlog) != 0) {
        const int code = errno;
        std::string hint = hint_for(code);
        if (family == AF_UNIX && code == EADDRINUSE) {
            hint = "a file or another program's socket is there: choose another path";
        } else if (family != AF_UNIX && code == EACCES) {
            hint = privileged_port_hint;
        }
        return fail_errno("listen on", text, code, std::move(hint));
    }
    return socket;
}

std::uint16_t port_of(int socket) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
    return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

std::string without_brackets(const std::string& host) {
    return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

} // namespace

Result<Listener> listen_on_path(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return fail(
            "socket path '" + path + "' is empty or too long",
            fmt::format("at most {} bytes fit; a relative path may be shorter", sizeof address.sun_path - 1));
    }
    path.copy(address.sun_path, path.size());
    std::error_code absent;
    if (std::filesystem::is_socket(path, absent) && is_stale(address)) {
        unlink(path.c_str());
    }
    auto socket = bind_and_listen(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, path);
    if (!socket) {
        return std::unexpected(socket.error());
    }
    return Listener{std::move(*socket), path, path};
}

Result<Listener> listen_on_port(const std::string& host, const std::string& port) {
    const std::string text = host + ":" + port;
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
        std::stoul(port) > 65535) {
        return fail("cannot listen on " + text + ": '" + port + "' is not a port's number",
                    "ports are 1 to 65535; 0 lets the host choose");
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const auto name = without_brackets(host);
    if (const int error = getaddrinfo(name.empty() ? nullptr : name.c_str(), port.c_str(), &hints, &found)) {
        return fail("cannot listen on " + text + ": " + gai_strerror(error),
                    "give an address of this host and a port's number, as in 127.0.0.1:4444");
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
    auto socket = bind_and_listen(found->ai_family, found->ai_addr, found->ai_addrlen, text);
    if (!socket) {
        return std::unexpected(socket.error());
    }
    const auto bound = host + ":" + std::to_string(port_of(socket->get()));
    return Listener{std::move(*socket), {}, bound};
}

Result<Listener> listen_on(const std::string& address) {
    const auto colon = address.rfind(':');
    if (colon == std::string::npos || address.find('/') != std::string::npos) {
        return listen_on_path(address);
    }
    return listen_on_port(address.substr(0, colon), address.substr(colon + 1));
}

} // namespace strata
