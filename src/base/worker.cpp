#include "base/worker.hpp"

#include <pthread.h>
#include <utility>

namespace strata {

Worker::Worker(const char* name) : thread_([this] { run(); }) {
    pthread_setname_np(thread_.native_handle(), name);
}

Worker::~Worker() {
    {
        const std::lock_guard lock(mutex_);
        jobs_.clear();
        stop_ = true;
    }
    work_.notify_one();
    thread_.join();
}

void Worker::submit(Job job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    work_.notify_one();
}

void Worker::cancel() {
    std::unique_lock lock(mutex_);
    jobs_.clear();
    idle_.wait(lock, [this] { return !busy_; });
}

void Worker::drain() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return !busy_ && jobs_.empty(); });
}

void Worker::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        work_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
        if (stop_) {
            return;
        }
        Job job = std::exchange(jobs_.front(), {});
        jobs_.pop_front();
        busy_ = true;
        lock.unlock();
        job();
        job = {};
        lock.lock();
        busy_ = false;
        idle_.notify_all();
    }
}

} // namespace strata
