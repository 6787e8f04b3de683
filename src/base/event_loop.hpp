// One thread's epoll loop: descriptors, timers, and calls posted from other threads.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace strata {

// Thread rules: run() is called by one thread, the loop's. post(), stop() and Timer's members are safe from
// any thread; watch() and unwatch() are for the loop's thread, or for any thread before run().
// Every callback runs on the loop's thread, through the `guard` if one is set (machines set one that takes
// the device lock).
class EventLoop {
public:
    using Callback = std::function<void()>;
    using DescriptorCallback = std::function<void(std::uint32_t epoll_events)>;

    class Timer;

    static Result<std::unique_ptr<EventLoop>> create(const Clock& clock);
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Runs until stop().
    void run();
    void stop();

    // Runs `callback` on the loop's thread soon.
    void post(Callback callback);

    // Calls `callback` whenever `fd` has one of `epoll_events` (EPOLLIN, EPOLLOUT, ...; level-triggered).
    // Watching a watched descriptor replaces its events and callback. The caller keeps `fd` open.
    void watch(int fd, std::uint32_t epoll_events, DescriptorCallback callback);
    void unwatch(int fd);

    // Each callback runs inside `guard(callback)`.
    void set_guard(std::function<void(const Callback&)> guard) { guard_ = std::move(guard); }

    // Before run(), where the clock is driven by hand: the loop leaves its timers to whoever calls
    // run_due_timers(). `on_earlier` is told when one is armed that comes before all others, on any thread.
    void leave_timers(Callback on_earlier) { on_earlier_ = std::move(on_earlier); }

    // On any thread, but not inside the guard.
    void run_due_timers() { run_timers(); }

    [[nodiscard]] std::optional<Nanoseconds> next_deadline();

    // Timers follow this clock: call after it was resumed, since deadlines were reckoned for a running clock.
    void clock_changed() { wake(); }

    [[nodiscard]] const Clock& clock() const { return clock_; }

private:
    friend class Timer;
    struct Watch;

    explicit EventLoop(const Clock& clock, FileDescriptor epoll, FileDescriptor wakeup);
    void wake();
    void call(const Callback& callback);
    void run_posted();
    void run_timers();
    // Until the next thing to do; negative when only a wake-up brings it.
    [[nodiscard]] Nanoseconds time_to_wait();

    const Clock& clock_;
    FileDescriptor epoll_;
    FileDescriptor wakeup_;
    std::mutex mutex_; // guards posted_, timers_ and stop_
    std::vector<Callback> posted_;
    std::multimap<Nanoseconds, Timer*> timers_;
    bool stop_ = false;
    std::map<int, std::shared_ptr<Watch>> watches_; // the loop's thread only
    std::function<void(const Callback&)> guard_;
    Callback on_earlier_; // null: the loop runs its timers
};

// A one-shot timer, armed again as often as wanted. Destroy it on the loop's thread, or under the guard's
// lock, or when the loop does not run.
class EventLoop::Timer {
public:
    Timer(EventLoop& loop, Callback callback) : loop_(loop), callback_(std::move(callback)) {}

    ~Timer() { cancel(); }

    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    // Calls back once, when the loop's clock reaches `deadline`; replaces an earlier deadline.
    void arm(Nanoseconds deadline);
    void cancel();

private:
    friend class EventLoop;
    EventLoop& loop_;
    Callback callback_;
    std::multimap<Nanoseconds, Timer*>::iterator position_{};
    bool armed_ = false; // guarded by the loop's mutex
};

} // namespace strata
