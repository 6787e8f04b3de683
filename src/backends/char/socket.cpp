#include "backends/char/socket.hpp"

#include "backends/char/stream.hpp"
#include "base/listener.hpp"

#include <optional>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace strata::backends {

namespace {

class SocketServer final : public CharBackend {
public:
    SocketServer(EventLoop& loop, Listener listener) : loop_(loop), listener_(std::move(listener)) {
        listen();
    }

    ~SocketServer() override {
        if (client_) {
            client_->drain();
            client_.reset();
        } else {
            loop_.unwatch(listener_.socket.get());
        }
        if (!listener_.path.empty()) {
            unlink(listener_.path.c_str());
        }
    }

    // Output that nobody is connected to see is lost, as on a serial line.
    void write(std::span<const std::byte> bytes) override {
        if (client_) {
            client_->write(bytes);
        }
    }

    void resume() override {
        if (client_) {
            client_->resume();
        }
    }

    [[nodiscard]] std::string announcement() const override { return "console on " + listener_.address; }

private:
    void listen() {
        loop_.watch(listener_.socket.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
    }

    void accept() {
        connection_.reset(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!connection_) {
            return;
        }
        loop_.unwatch(listener_.socket.get()); // the next client waits for this one's end
        client_.emplace(loop_, connection_.get(), connection_.get(),
                        Stream::Handlers{.receive = [this](auto bytes) { return deliver(bytes); },
                                         .closed = [this] { disconnected(); }});
    }

    void disconnected() {
        client_.reset();
        connection_.reset();
        listen();
    }

    EventLoop& loop_;
    Listener listener_;
    FileDescriptor connection_;
    std::optional<Stream> client_;
};

} // namespace

Result<std::unique_ptr<CharBackend>> open_socket(EventLoop& loop, const std::string& address) {
    auto listener = listen_on(address);
    if (!listener) {
        return std::unexpected(listener.error());
    }
    return std::make_unique<SocketServer>(loop, std::move(*listener));
}

} // namespace strata::backends
