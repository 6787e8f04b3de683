// A machine's control socket: other commands of its user connect, send requests as lines of JSON, and get a
// line for each. docs/control.md has the protocol.
#pragma once

#include "base/event_loop.hpp"
#include "base/listener.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace strata::vm::control {

class Server {
public:
    // What a request line is answered with, a line without its end. On the loop's thread.
    using Answer = std::function<std::string(std::string_view request)>;

    // Listens at the machine's socket. `loop` does not run yet.
    [[nodiscard]] static Result<std::unique_ptr<Server>> create(EventLoop& loop, const std::string& machine,
                                                                Answer answer);
    // The loop does not run any more. The socket's name is removed.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

private:
    struct Client {
        FileDescriptor connection;
        std::string received; // the begin of a line
    };

    Server(EventLoop& loop, Listener listener, Answer answer);

    void accept();
    void receive(int connection);
    void answer_lines(Client& client);
    void hang_up(int connection);

    EventLoop& loop_;
    Listener listener_;
    Answer answer_;
    std::map<int, Client> clients_; // by descriptor
};

} // namespace strata::vm::control
