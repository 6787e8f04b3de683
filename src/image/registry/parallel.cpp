#include "image/registry/parallel.hpp"

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

namespace strata::image {

Result<void> for_each_parallel(std::size_t count, std::size_t threads,
                               const std::function<Result<void>(std::size_t, std::atomic<bool>&)>& work) {
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> stop = false;
    std::mutex mutex;
    Result<void> outcome;
    const auto run = [&] {
        for (std::size_t i = next++; i < count && !stop; i = next++) {
            if (auto done = work(i, stop); !done) {
                const std::scoped_lock lock(mutex);
                if (!stop) { // later failures come of this one
                    outcome = std::move(done);
                    stop = true;
                }
            }
        }
    };
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < std::min(threads, count); ++i) {
            others.emplace_back(run);
        }
        run();
    }
    return outcome;
}

} // namespace strata::image
