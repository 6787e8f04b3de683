#include "names/server.hpp"

#include "instance/network/name_server.hpp"

#include <algorithm>
#include <array>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace strata::names {
namespace {

namespace dns = instance::dns;
using std::chrono::steady_clock;

constexpr std::size_t most_pending = 128;                 // the oldest makes way
constexpr unsigned most_children = 16, most_queries = 64; // of connections, and in one
constexpr auto patience = std::chrono::seconds(3);        // with each server
constexpr int longest_sleep = 1000;                       // milliseconds
constexpr std::size_t longest_stream_answer = 65535, longest_upstream_answer = 65535;

} // namespace

void Server::run() {
    while (true) {
        std::vector<pollfd> files{{datagrams_.get(), POLLIN, 0},
                                  {children_ < most_children ? streams_.get() : -1, POLLIN, 0}};
        for (const auto& pending : pending_) {
            files.push_back({pending.socket.get(), POLLIN, 0});
        }
        poll(files.data(), files.size(), pending_.empty() && children_ == 0 ? -1 : longest_sleep);
        while (waitpid(-1, nullptr, WNOHANG) > 0) {
            --children_;
        }
        auto file = files.begin() + 2;
        for (auto& pending : pending_) {
            if ((file++)->revents != 0) {
                take_answer(pending);
            } else if (steady_clock::now() >= pending.end) {
                ask_next(pending);
            }
        }
        std::erase_if(pending_, [](const Pending& pending) { return !pending.socket; });
        if (files[0].revents != 0) {
            take_datagram();
        }
        if (files[1].revents != 0) {
            take_connection();
        }
    }
}

// The state is open for this question only: children begin without it.
std::optional<Server::Message> Server::answer(const Message& query, std::size_t longest) const {
    const auto parsed = dns::parse_query(query);
    if (!parsed) {
        return Message{};
    }
    const auto failure = [&] {
        return dns::make_answer(query, *parsed, dns::Code::server_failure, {}, longest);
    };
    const auto database = instance::Database::open(database_, "");
    if (!database) {
        return failure();
    }
    if (parsed->klass == dns::class_in) {
        const auto records = instance::look_up(*database, id_, *parsed);
        if (!records) {
            return failure();
        }
        if (*records) {
            return dns::make_answer(query, *parsed, dns::Code::good, **records, longest);
        }
    }
    const auto asks = instance::may_ask_others(*database, id_);
    if (!asks) {
        return failure();
    }
    return *asks ? std::nullopt
                 : std::optional(dns::make_answer(query, *parsed, dns::Code::no_such_name, {}, longest));
}

void Server::send(const sockaddr_in& client, const Message& message) const {
    if (!message.empty()) {
        sendto(datagrams_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&client), sizeof client);
    }
}

void Server::take_datagram() {
    std::array<std::uint8_t, dns::longest_query> buffer{};
    Pending pending;
    socklen_t size = sizeof pending.client;
    const auto got = recvfrom(datagrams_.get(), buffer.data(), buffer.size(), 0,
                              reinterpret_cast<sockaddr*>(&pending.client), &size);
    if (got <= 0) {
        return;
    }
    pending.query.assign(buffer.begin(), buffer.begin() + got);
    if (const auto answered = answer(pending.query, dns::longest_datagram)) {
        send(pending.client, *answered);
        return;
    }
    pending.server = SIZE_MAX;
    ask_next(pending);
    if (pending.socket) {
        pending_.push_back(std::move(pending));
    }
    if (pending_.size() > most_pending) {
        pending_.pop_front();
    }
}

// Asks the next server, by a socket and a number of its own; after the last one the client is told.
void Server::ask_next(Pending& pending) const {
    const auto servers = servers_.empty() ? servers_of_host() : servers_;
    pending.socket.reset();
    while (++pending.server < servers.size()) {
        auto socket = connect_to_server(servers[pending.server], SOCK_DGRAM);
        auto question = pending.query;
        pending.id = random_id();
        dns::set_id(question, pending.id);
        if (socket && ::send(socket.get(), question.data(), question.size(), MSG_NOSIGNAL) > 0) {
            pending.socket = std::move(socket);
            pending.end = steady_clock::now() + patience;
            return;
        }
    }
    if (const auto parsed = dns::parse_query(pending.query)) {
        send(pending.client,
             dns::make_answer(pending.query, *parsed, dns::Code::server_failure, {}, dns::longest_datagram));
    }
}

void Server::take_answer(Pending& pending) const {
    Message message(longest_upstream_answer);
    const auto got = recv(pending.socket.get(), message.data(), message.size(), MSG_DONTWAIT);
    if (got < 0) { // nobody listens there
        ask_next(pending);
        return;
    }
    message.resize(static_cast<std::size_t>(got));
    if (dns::is_answer(message, pending.query, pending.id)) {
        dns::set_id(message, dns::parse_query(pending.query)->id);
        send(pending.client, message);
        pending.socket.reset();
    }
}

// Streams are rare: each has a process, which waits as long as it must.
void Server::take_connection() {
    const FileDescriptor connection(accept4(streams_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) {
        return;
    }
    const pid_t child = fork();
    if (child == 0) {
        serve_connection(connection);
    }
    children_ += child > 0 ? 1 : 0;
}

void Server::serve_connection(const FileDescriptor& connection) const {
    set_patience(connection.get());
    for (unsigned i = 0; i < most_queries; ++i) {
        const auto query = read_message(connection.get(), dns::longest_query);
        if (query.empty()) {
            break;
        }
        auto answered = answer(query, longest_stream_answer);
        const auto servers = servers_.empty() ? servers_of_host() : servers_;
        for (std::size_t j = 0; !answered && j < servers.size(); ++j) {
            auto heard = ask_by_stream(servers[j], query);
            if (dns::is_answer(heard, query, dns::parse_query(query)->id)) {
                answered = std::move(heard);
            }
        }
        if (!answered) {
            answered = dns::make_answer(query, *dns::parse_query(query), dns::Code::server_failure, {},
                                        longest_stream_answer);
        }
        if (answered->empty() || !write_message(connection.get(), *answered)) {
            break;
        }
    }
    _exit(0);
}

} // namespace strata::names
