// The sockets of a libslirp stack, watched by an event loop.
#pragma once

#include "backends/net/slirp.hpp"
#include "base/event_loop.hpp"
#include "base/lifetime.hpp"

#include <map>
#include <poll.h>
#include <vector>

namespace strata::backends {

// The stack tells, before each wait, which sockets it waits for and how long; and is told, after each, what
// happened to them. The event loop's thread only.
class SlirpSockets {
public:
    SlirpSockets(EventLoop& loop, const SlirpLibrary& library);
    ~SlirpSockets();
    SlirpSockets(const SlirpSockets&) = delete;
    SlirpSockets& operator=(const SlirpSockets&) = delete;

    void attach(Slirp* slirp) { slirp_ = slirp; }

    // Asks the stack anew: call after every call into it.
    void update();
    // The stack is about to close this socket.
    void forget(int fd);

private:
    void ready();
    void watch_listed();

    EventLoop& loop_;
    const SlirpLibrary& library_;
    Slirp* slirp_ = nullptr;
    std::vector<pollfd> listed_;           // in the stack's order
    std::map<int, std::uint32_t> watched_; // descriptor to epoll events
    EventLoop::Timer timer_;
};

} // namespace strata::backends
