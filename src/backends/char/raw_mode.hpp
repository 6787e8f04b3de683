// A terminal in raw mode, so that every key goes to the guest; restored whatever ends the process, but for a
// SIGKILL, which nobody hears.
#pragma once

#include "base/error.hpp"

#include <utility>

namespace strata::backends {

// One a process. Signals that would end or stop the process restore the terminal first, and then do what they
// did before; SIGCONT makes it raw again.
class RawMode {
public:
    [[nodiscard]] static Result<RawMode> enter(int terminal);

    RawMode(RawMode&& other) noexcept : active_(std::exchange(other.active_, false)) {}

    RawMode& operator=(RawMode&&) = delete;
    ~RawMode();

private:
    RawMode() = default;
    bool active_ = true;
};

} // namespace strata::backends
