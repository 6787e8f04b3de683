// Runs a container's health check again and again, within its monitor, whose loop tells it of time, output
// and ended children.
#pragma once

#include "base/file_descriptor.hpp"
#include "instance/health.hpp"
#include "instance/instances.hpp"
#include "instance/runtime.hpp"
#include "instance/users.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <sys/types.h>

namespace strata::instance {

class HealthMonitor {
public:
    using OpenState = std::function<Result<Instances>()>;

    // Of an instance whose program has just begun, or, where there is something of it by `health`, goes on.
    // What is passed by reference outlives this object.
    HealthMonitor(OpenState open_state, const Runtime& runtime, const Instance& instance, User user,
                  Health health = {});

    // Milliseconds until work() has something to do.
    [[nodiscard]] int patience() const;

    // What the check writes, to wait for; -1 when none runs.
    [[nodiscard]] int output() const { return output_.get(); }

    void work();
    void read_output();
    // A child has ended.
    void take_end(pid_t pid, int code);

private:
    using Time = std::chrono::steady_clock::time_point;

    void begin();
    [[nodiscard]] Result<pid_t> run(int output) const;
    void finish(int code, const std::string& remark = {});
    void save(const char* before) const;

    OpenState open_state_;
    const Runtime& runtime_;
    const Instance& instance_;
    User user_;
    Health health_{};
    Time started_ = std::chrono::steady_clock::now(), due_; // when to begin, or to break off
    pid_t process_ = 0;                                     // the check that runs
    FileDescriptor output_{};
    Checkup checkup_{};
};

} // namespace strata::instance
