// A thread that does jobs in order, for calls that block.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace strata {

class Worker {
public:
    using Job = std::move_only_function<void()>;

    explicit Worker(const char* name);
    // Finishes the job that runs; forgets the others.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Any thread.
    void submit(Job job);
    // Forgets the jobs that have not begun, and waits until the one that has is done.
    void cancel();
    // Waits until every job is done.
    void drain();

private:
    void run();

    std::mutex mutex_;
    std::condition_variable work_, idle_;
    std::deque<Job> jobs_;
    bool busy_ = false;
    bool stop_ = false;
    std::thread thread_;
};

} // namespace strata
