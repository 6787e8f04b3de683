#include "base/event_loop.hpp"

#include <algorithm>
#include <array>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace strata {

struct EventLoop::Watch {
    DescriptorCallback callback;
    bool active = true;
};

Result<std::unique_ptr<EventLoop>> EventLoop::create(const Clock& clock) {
    FileDescriptor epoll(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) {
        return fail_errno("create", "an epoll instance");
    }
    FileDescriptor wakeup(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wakeup) {
        return fail_errno("create", "an eventfd");
    }
    epoll_event event{.events = EPOLLIN, .data = {.fd = wakeup.get()}};
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wakeup.get(), &event) != 0) {
        return fail_errno("watch", "an eventfd");
    }
    return std::unique_ptr<EventLoop>(new EventLoop(clock, std::move(epoll), std::move(wakeup)));
}

EventLoop::EventLoop(const Clock& clock, FileDescriptor epoll, FileDescriptor wakeup)
    : clock_(clock), epoll_(std::move(epoll)), wakeup_(std::move(wakeup)) {}

EventLoop::~EventLoop() = default;

void EventLoop::wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
}

void EventLoop::stop() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake();
}

void EventLoop::post(Callback callback) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(callback));
    }
    wake();
}

void EventLoop::watch(int fd, std::uint32_t epoll_events, DescriptorCallback callback) {
    epoll_event event{.events = epoll_events, .data = {.fd = fd}};
    const auto found = watches_.find(fd);
    if (found != watches_.end()) {
        found->second->active = false; // a callback of its own may be running: it keeps its Watch alive
        epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    } else {
        epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    }
    watches_[fd] = std::make_shared<Watch>(Watch{std::move(callback)});
    wake();
}

void EventLoop::unwatch(int fd) {
    const auto found = watches_.find(fd);
    if (found != watches_.end()) {
        found->second->active = false;
        watches_.erase(found);
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    }
}

void EventLoop::call(const Callback& callback) {
    if (guard_) {
        guard_(callback);
    } else {
        callback();
    }
}

void EventLoop::run_posted() {
    std::vector<Callback> posted;
    {
        const std::lock_guard lock(mutex_);
        posted.swap(posted_);
    }
    for (const auto& callback : posted) {
        call(callback);
    }
}

void EventLoop::run_timers() {
    // The due timer is taken and called under the guard, so that a cancel() under the guard's lock is final.
    bool more = true;
    while (more) {
        more = false;
        call([&] {
            Timer* due = nullptr;
            {
                const std::lock_guard lock(mutex_);
                if (!clock_.paused() && !timers_.empty() && timers_.begin()->first <= clock_.now()) {
                    due = timers_.begin()->second;
                    due->armed_ = false;
                    timers_.erase(timers_.begin());
                }
            }
            if (due != nullptr) {
                due->callback_();
                more = true;
            }
        });
    }
}

Nanoseconds EventLoop::time_to_wait() {
    const std::lock_guard lock(mutex_);
    if (stop_ || !posted_.empty()) {
        return 0;
    }
    if (timers_.empty() || clock_.paused() || on_earlier_) {
        return -1;
    }
    return std::max<Nanoseconds>(0, timers_.begin()->first - clock_.now());
}

std::optional<Nanoseconds> EventLoop::next_deadline() {
    const std::lock_guard lock(mutex_);
    return timers_.empty() ? std::nullopt : std::optional(timers_.begin()->first);
}

void EventLoop::run() {
    std::array<epoll_event, 32> events{};
    while (true) {
        const Nanoseconds remaining = time_to_wait();
        timespec limit{};
        if (remaining > 0) {
            limit.tv_sec = static_cast<time_t>(remaining / 1'000'000'000);
            limit.tv_nsec = static_cast<long>(remaining % 1'000'000'000);
        }
        const int count = epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                       remaining < 0 ? nullptr : &limit, nullptr);
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == wakeup_.get()) {
                std::uint64_t ignored = 0;
                [[maybe_unused]] const auto got = ::read(fd, &ignored, sizeof ignored);
                continue;
            }
            const auto found = watches_.find(fd);
            if (found != watches_.end()) {
                const auto watch = found->second;
                const auto ready = events[static_cast<std::size_t>(i)].events;
                call([&] {
                    if (watch->active) {
                        watch->callback(ready);
                    }
                });
            }
        }
        run_posted();
        if (!on_earlier_) {
            run_timers();
        }
        const std::lock_guard lock(mutex_);
        if (stop_) {
            stop_ = false;
            return;
        }
    }
}

void EventLoop::Timer::arm(Nanoseconds deadline) {
    bool first = false;
    {
        const std::lock_guard lock(loop_.mutex_);
        if (armed_) {
            loop_.timers_.erase(position_);
        }
        position_ = loop_.timers_.emplace(deadline, this);
        armed_ = true;
        first = position_ == loop_.timers_.begin();
    }
    if (first && loop_.on_earlier_) {
        loop_.on_earlier_();
    } else if (first) {
        loop_.wake();
    }
}

void EventLoop::Timer::cancel() {
    const std::lock_guard lock(loop_.mutex_);
    if (armed_) {
        loop_.timers_.erase(position_);
        armed_ = false;
    }
}

} // namespace strata
