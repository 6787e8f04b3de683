// A process that the runtime stays with: its signals, its terminal, its end.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <sys/types.h>

namespace strata::container {

// While it lives, signals come by a descriptor, so that none is lost between two looks.
class ForwardedSignals {
public:
    static Result<ForwardedSignals> block();

    ForwardedSignals(ForwardedSignals&&) noexcept = default;
    ForwardedSignals& operator=(ForwardedSignals&&) = delete;
    ForwardedSignals(const ForwardedSignals&) = delete;
    ForwardedSignals& operator=(const ForwardedSignals&) = delete;
    ~ForwardedSignals() = default;

    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    explicit ForwardedSignals(FileDescriptor fd) : fd_(std::move(fd)) {}

    FileDescriptor fd_;
};

// Passes signals to child `pid`, moves bytes between the standard streams and its terminal (`terminal`, the
// master, or empty), and returns its exit status: 128 + n after signal n.
[[nodiscard]] Result<int> stay_with(pid_t pid, int pidfd, const ForwardedSignals& signals,
                                    FileDescriptor terminal);

} // namespace strata::container
