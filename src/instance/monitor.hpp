// The process beside a running container: it started it, keeps its log and its exit code, serves those who
// are attached, and starts it again where that is wanted. It is small, and depends on nothing that a user may
// stop.
#pragma once

#include "instance/instances.hpp"

namespace strata::instance {

// Starts the instance and its monitor. Returns when the container's program runs, or an error when it does
// not. `attached`, unless it is -1, is the monitor's end of a socket pair to one who is attached from the
// first byte on.
[[nodiscard]] Result<void> launch(const Instances& instances, const Instance& instance, int attached = -1);

} // namespace strata::instance
