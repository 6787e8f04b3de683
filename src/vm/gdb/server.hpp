// Listens for GDB and carries one session at a time, on an event loop.
#pragma once

#include "base/error.hpp"
#include "base/event_loop.hpp"
#include "base/file_descriptor.hpp"
#include "base/listener.hpp"
#include "vm/gdb/session.hpp"
#include "vm/gdb/target.hpp"

#include <memory>
#include <string>

namespace strata::vm::gdb {

class Server {
public:
    // `address` is "ADDRESS:PORT", ":PORT" or "PORT" (the loopback interface), or "unix:PATH". The target is
    // stopped while a session starts: `attach` makes it so. All on the loop's thread, but create(), before it
    // runs.
    [[nodiscard]] static Result<std::unique_ptr<Server>>
    create(EventLoop& loop, Target& target, const std::string& address, std::function<void()> attach);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Where GDB finds it.
    [[nodiscard]] const std::string& address() const { return listener_.address; }

    [[nodiscard]] bool connected() const { return session_ != nullptr; }

    // The machine stopped: tells GDB.
    void stopped(const Stop& stop);

private:
    Server(EventLoop& loop, Target& target, Listener listener, std::function<void()> attach);

    void accept();
    void receive();
    void send(std::string_view bytes);
    void hang_up();

    EventLoop& loop_;
    Target& target_;
    Listener listener_;
    FileDescriptor connection_;
    std::function<void()> attach_;
    std::unique_ptr<Session> session_;
};

} // namespace strata::vm::gdb
