#include "base/event_loop.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace strata {
namespace {

class EventLoopTest : public testing::Test {
protected:
    Clock clock;
    std::unique_ptr<EventLoop> loop = EventLoop::create(clock).value();
};

TEST_F(EventLoopTest, RunsPostedCallsOfAnyThreadInOrder) {
    std::vector<int> calls;
    std::thread other([&] {
        for (int i = 0; i < 100; ++i) {
            loop->post([&calls, i] { calls.push_back(i); });
        }
        loop->post([&] { loop->stop(); });
    });
    loop->run();
    other.join();
    ASSERT_EQ(calls.size(), 100U);
    EXPECT_TRUE(std::ranges::is_sorted(calls));
}

TEST_F(EventLoopTest, TimersCallBackInOrderOfDeadline) {
    std::vector<int> calls;
    EventLoop::Timer late(*loop, [&] {
        calls.push_back(2);
        loop->stop();
    });
    EventLoop::Timer early(*loop, [&] { calls.push_back(1); });
    EventLoop::Timer never(*loop, [&] { calls.push_back(3); });
    late.arm(clock.now() + 2'000'000);
    early.arm(clock.now() + 1'000'000);
    never.arm(clock.now() + 500'000);
    never.cancel();
    loop->run();
    EXPECT_EQ(calls, (std::vector{1, 2}));
}

TEST_F(EventLoopTest, ATimerMayArmItselfAgain) {
    int count = 0;
    EventLoop::Timer* self = nullptr;
    EventLoop::Timer timer(*loop, [&] {
        if (++count == 5) {
            loop->stop();
        } else {
            self->arm(clock.now() + 1000);
        }
    });
    self = &timer;
    timer.arm(clock.now());
    loop->run();
    EXPECT_EQ(count, 5);
}

TEST(EventLoopByHand, TimersAreLeftToWhoMovesTheClock) {
    Clock clock(0);
    const auto loop = EventLoop::create(clock).value();
    int earlier = 0;
    loop->leave_timers([&] { ++earlier; });
    EXPECT_EQ(loop->next_deadline(), std::nullopt);
    std::vector<Nanoseconds> calls;
    EventLoop::Timer timer(*loop, [&] { calls.push_back(clock.now()); });
    EventLoop::Timer later(*loop, [&] { calls.push_back(-clock.now()); });
    timer.arm(100);
    later.arm(200);
    EXPECT_EQ(earlier, 1);
    EXPECT_EQ(loop->next_deadline(), 100);
    clock.advance(100);
    loop->post([&] { loop->stop(); });
    loop->run(); // runs no timer
    EXPECT_TRUE(calls.empty());
    loop->run_due_timers();
    EXPECT_EQ(loop->next_deadline(), 200);
    clock.advance(150);
    loop->run_due_timers();
    EXPECT_EQ(calls, (std::vector<Nanoseconds>{100, -250}));
}

TEST_F(EventLoopTest, TimersWaitWhileTheClockIsPaused) {
    bool fired = false;
    EventLoop::Timer timer(*loop, [&] {
        fired = true;
        loop->stop();
    });
    timer.arm(clock.now() + 1'000'000);
    clock.pause();
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        loop->post([&] {
            EXPECT_FALSE(fired);
            clock.resume();
            loop->clock_changed();
        });
    });
    loop->run();
    other.join();
    EXPECT_TRUE(fired);
}

TEST_F(EventLoopTest, WatchesDescriptorsUntilUnwatched) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const FileDescriptor in(ends[0]), out(ends[1]);
    int calls = 0;
    loop->watch(in.get(), EPOLLIN, [&](std::uint32_t events) {
        EXPECT_TRUE(events & EPOLLIN);
        if (++calls == 3) { // level-triggered: nothing was read
            loop->unwatch(in.get());
            loop->post([&] { loop->stop(); });
        }
    });
    ASSERT_EQ(write(out.get(), "x", 1), 1);
    loop->run();
    EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, EveryCallbackGoesThroughTheGuard) {
    int guarded = 0;
    loop->set_guard([&](const EventLoop::Callback& callback) {
        ++guarded;
        callback();
    });
    loop->post([&] { EXPECT_GT(guarded, 0); });
    loop->post([&] { loop->stop(); });
    loop->run();
    EXPECT_GE(guarded, 2);
}

TEST(ClockTest, StandsWhilePausedAndGoesOnWithoutAJump) {
    Clock clock;
    clock.pause();
    const auto stopped = clock.now();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(clock.now(), stopped);
    clock.resume();
    EXPECT_GE(clock.now(), stopped);
    EXPECT_LT(clock.now(), stopped + 5'000'000'000);
}

} // namespace
} // namespace strata
