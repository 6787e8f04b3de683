// The loop of the name server: answers what the state knows, and passes on what others know.
#pragma once

#include "base/file_descriptor.hpp"
#include "instance/network/dns_message.hpp"
#include "names/upstream.hpp"

#include <chrono>
#include <list>
#include <netinet/in.h>
#include <string>
#include <vector>

namespace strata::names {

class Server {
public:
    Server(std::string database, std::string id, FileDescriptor datagrams, FileDescriptor streams,
           std::vector<std::string> servers)
        : database_(std::move(database)), id_(std::move(id)), datagrams_(std::move(datagrams)),
          streams_(std::move(streams)), servers_(std::move(servers)) {}

    [[noreturn]] void run();

private:
    using Message = std::vector<std::uint8_t>;
    using Time = std::chrono::steady_clock::time_point;

    // A query that others were asked.
    struct Pending {
        sockaddr_in client{};
        Message query{};
        std::uint16_t id = 0; // under which they know it
        FileDescriptor socket{};
        std::size_t server = 0; // who is asked at the moment
        Time end{};
    };

    void take_datagram();
    void take_answer(Pending& pending) const;
    void ask_next(Pending& pending) const;
    void take_connection();
    [[noreturn]] void serve_connection(const FileDescriptor& connection) const;

    // The answer, if it is to be given here.
    [[nodiscard]] std::optional<Message> answer(const Message& query, std::size_t longest) const;
    void send(const sockaddr_in& client, const Message& message) const;

    std::string database_, id_;
    FileDescriptor datagrams_, streams_;
    std::vector<std::string> servers_;
    std::list<Pending> pending_{};
    unsigned children_ = 0;
};

} // namespace strata::names
