// A process of a monitor that serves its container's network. It has none of the monitor's files but those
// that it is given, and ends with the monitor or with this object.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <functional>
#include <vector>

namespace strata::instance {

class HelperProcess {
public:
    HelperProcess() = default;
    // Runs `serve`, which does not return, in a new process called `name`. The process that starts it, and
    // that waits for its end some time, must have one thread.
    [[nodiscard]] static Result<HelperProcess> start(const char* name, const std::vector<int>& files,
                                                     const std::function<void()>& serve);

    HelperProcess(HelperProcess&& other) noexcept = default;
    HelperProcess& operator=(HelperProcess&& other) noexcept;
    HelperProcess(const HelperProcess&) = delete;
    HelperProcess& operator=(const HelperProcess&) = delete;

    ~HelperProcess() { end(); }

    explicit operator bool() const { return static_cast<bool>(process_); }

private:
    void end();

    FileDescriptor process_; // a pidfd
};

// Leaves a new process with its standard streams and these files.
void close_all_but(std::vector<int> kept);

// Gives up all capabilities of this process for ever.
void drop_privileges();

} // namespace strata::instance
