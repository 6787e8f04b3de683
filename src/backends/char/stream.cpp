#include "backends/char/stream.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::backends {

namespace {

constexpr std::size_t max_unwritten = 1 << 20;
constexpr int drain_milliseconds = 1000;

// epoll(7) refuses what never blocks: files and devices like /dev/null.
bool can_wait_for(int fd) {
    struct stat status{};
    return fd >= 0 && fstat(fd, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(fd));
}

bool writable_now(int fd, int timeout) {
    pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
    return poll(&entry, 1, timeout) == 1;
}

} // namespace

Stream::Stream(EventLoop& loop, int input, int output, Handlers handlers)
    : loop_(loop), input_(input), output_(output), handlers_(std::move(handlers)),
      pollable_(can_wait_for(input)), input_open_(input >= 0) {
    update_soon();
}

Stream::~Stream() {
    watch(input_, 0, input_watched_);
    watch(output_, 0, output_watched_);
}

void Stream::write(std::span<const std::byte> bytes) {
    if (!output_open_) {
        return;
    }
    if (unwritten_.empty()) {
        bytes = bytes.subspan(try_write(bytes));
    }
    const auto room = max_unwritten - unwritten_.size();
    bytes = bytes.first(std::min(bytes.size(), room));
    unwritten_.insert(unwritten_.end(), bytes.begin(), bytes.end());
    if (!unwritten_.empty()) {
        update_soon();
    }
}

std::size_t Stream::try_write(std::span<const std::byte> bytes) {
    std::size_t done = 0;
    // The descriptor may be in blocking mode, which belongs to whoever else has it open: a pipe that polls as
    // writable takes PIPE_BUF bytes without blocking.
    while (done < bytes.size() && writable_now(output_, 0)) {
        const auto chunk = std::min<std::size_t>(bytes.size() - done, PIPE_BUF);
        const auto put = ::write(output_, bytes.data() + done, chunk);
        if (put < 0 && (errno == EINTR || errno == EAGAIN)) {
            break;
        }
        if (put < 0) {
            output_open_ = false;
            unwritten_.clear();
            return bytes.size();
        }
        done += static_cast<std::size_t>(put);
    }
    return done;
}

void Stream::write_waiting() {
    const auto done = try_write(unwritten_);
    unwritten_.erase(unwritten_.begin(),
                     unwritten_.begin() + static_cast<std::ptrdiff_t>(std::min(done, unwritten_.size())));
}

void Stream::drain() {
    while (!unwritten_.empty() && writable_now(output_, drain_milliseconds)) {
        write_waiting();
    }
}

void Stream::resume() {
    if (!unread_.empty()) {
        give(std::exchange(unread_, {}));
    }
    update_soon();
}

void Stream::update_soon() {
    if (!updating_) {
        updating_ = true;
        loop_.post(lifetime_.guard([this] {
            updating_ = false;
            update();
        }));
    }
}

void Stream::update() {
    const bool wants_input = input_open_ && unread_.empty();
    const bool wants_output = output_open_ && !unwritten_.empty();
    const std::uint32_t in = wants_input && pollable_ ? EPOLLIN : 0U;
    const std::uint32_t out = wants_output ? EPOLLOUT : 0U;
    if (input_ == output_) {
        watch(input_, in | out, input_watched_);
    } else {
        watch(input_, in, input_watched_);
        watch(output_, out, output_watched_);
    }
    if (wants_input && !pollable_) {
        read_some();
    }
}

void Stream::watch(int fd, std::uint32_t events, std::uint32_t& watched) {
    if (events == watched) {
        return;
    }
    watched = events;
    if (events == 0) {
        loop_.unwatch(fd);
    } else {
        loop_.watch(fd, events, [this](std::uint32_t ready_events) { ready(ready_events); });
    }
}

void Stream::ready(std::uint32_t events) {
    if (!unwritten_.empty()) {
        write_waiting();
    }
    update_soon();
    if ((events & ~std::uint32_t{EPOLLOUT}) && input_open_ && unread_.empty()) {
        read_some();
    }
}

void Stream::read_some() {
    std::array<std::byte, 4096> buffer;
    const auto got = ::read(input_, buffer.data(), buffer.size());
    if (got > 0) {
        give(std::span(buffer).first(static_cast<std::size_t>(got)));
        update_soon();
    } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
        close_input();
    }
}

void Stream::give(std::span<const std::byte> bytes) {
    const auto taken = handlers_.receive(bytes);
    unread_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(taken), bytes.end());
}

void Stream::close_input() {
    input_open_ = false;
    update_soon();
    if (const auto closed = handlers_.closed) {
        closed(); // last: it may destroy the stream
    }
}

} // namespace strata::backends
