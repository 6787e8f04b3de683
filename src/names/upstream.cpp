#include "names/upstream.hpp"

#include <arpa/inet.h>
#include <fstream>
#include <netinet/in.h>
#include <sstream>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace strata::names {
namespace {

constexpr std::size_t most_servers = 3;
constexpr std::uint16_t port = 53;
constexpr std::size_t longest_answer = 65535;

bool read_all(int stream, std::uint8_t* data, std::size_t size) {
    return recv(stream, data, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

} // namespace

std::vector<std::string> servers_of_host() {
    std::vector<std::string> servers;
    std::ifstream file("/etc/resolv.conf");
    for (std::string line; servers.size() < most_servers && std::getline(file, line);) {
        std::istringstream words(line);
        std::string keyword, address;
        if (words >> keyword >> address && keyword == "nameserver") {
            servers.push_back(address);
        }
    }
    return servers;
}

FileDescriptor connect_to_server(const std::string& address, int type) {
    sockaddr_in four{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    const sockaddr* target = nullptr;
    socklen_t size = 0;
    if (inet_pton(AF_INET, address.c_str(), &four.sin_addr) == 1) {
        target = reinterpret_cast<const sockaddr*>(&four);
        size = sizeof four;
    } else if (inet_pton(AF_INET6, address.c_str(), &six.sin6_addr) == 1) {
        target = reinterpret_cast<const sockaddr*>(&six);
        size = sizeof six;
    } else {
        return {};
    }
    FileDescriptor socket(::socket(target->sa_family, type | SOCK_CLOEXEC, 0));
    if (socket && type == SOCK_STREAM) {
        set_patience(socket.get());
    }
    if (!socket || connect(socket.get(), target, size) != 0) {
        return {};
    }
    return socket;
}

void set_patience(int stream) {
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

std::vector<std::uint8_t> read_message(int stream, std::size_t longest) {
    std::uint8_t length[2] = {};
    if (!read_all(stream, length, sizeof length)) {
        return {};
    }
    std::vector<std::uint8_t> message(static_cast<std::size_t>(length[0]) << 8 | length[1]);
    if (message.size() > longest || !read_all(stream, message.data(), message.size())) {
        return {};
    }
    return message;
}

bool write_message(int stream, const std::vector<std::uint8_t>& message) {
    std::vector<std::uint8_t> framed{static_cast<std::uint8_t>(message.size() >> 8),
                                     static_cast<std::uint8_t>(message.size())};
    framed.insert(framed.end(), message.begin(), message.end());
    return ::send(stream, framed.data(), framed.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(framed.size());
}

std::vector<std::uint8_t> ask_by_stream(const std::string& address, const std::vector<std::uint8_t>& query) {
    const auto socket = connect_to_server(address, SOCK_STREAM);
    return socket && write_message(socket.get(), query) ? read_message(socket.get(), longest_answer)
                                                        : std::vector<std::uint8_t>{};
}

std::uint16_t random_id() {
    std::uint16_t id = 0;
    static_cast<void>(getrandom(&id, sizeof id, 0) < 0);
    return id;
}

} // namespace strata::names
