// Bytes in and out of descriptors, by an event loop: what terminals, sockets and ptys share.
#pragma once

#include "base/event_loop.hpp"
#include "base/lifetime.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace strata::backends {

// Input that the receiver does not take is kept, and no more is read until resume(). Output that the
// descriptor does not take is kept up to a limit; beyond it, output is lost. write() and resume() may be
// called on any thread under the loop's lock; the rest happens on the loop's thread, and so do construction
// and destruction, unless the loop does not run.
class Stream {
public:
    struct Handlers {
        std::function<std::size_t(std::span<const std::byte>)> receive; // returns how many bytes it took
        std::function<void()> closed; // no more input will come; called once, may destroy the stream
    };

    // The descriptors stay the caller's. They need not be in non-blocking mode; `input` may be -1.
    Stream(EventLoop& loop, int input, int output, Handlers handlers);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    void write(std::span<const std::byte> bytes);
    void resume();
    // Waits a moment for a slow reader to take what is left.
    void drain();

private:
    void update_soon();
    void update();
    void watch(int fd, std::uint32_t events, std::uint32_t& watched);
    void ready(std::uint32_t events);
    void read_some();
    void give(std::span<const std::byte> bytes);
    void close_input();
    // Writes what the descriptor takes at once.
    std::size_t try_write(std::span<const std::byte> bytes);
    void write_waiting();

    EventLoop& loop_;
    int input_, output_;
    Handlers handlers_;
    bool pollable_; // input_ can be waited for; a file is always ready
    bool input_open_;
    bool output_open_ = true;
    bool updating_ = false;         // update() is posted
    std::vector<std::byte> unread_; // read, not yet received
    std::vector<std::byte> unwritten_;
    std::uint32_t input_watched_ = 0, output_watched_ = 0; // epoll events
    Lifetime lifetime_;
};

} // namespace strata::backends
