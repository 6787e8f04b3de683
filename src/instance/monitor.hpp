// The process beside a running container: it started it, keeps its log and its exit code, serves those who
// are attached, and starts it again where that is wanted. It is small, and depends on nothing that a user may
// stop: a program of its own, strata-monitor, since there is one for each container.
//
//   strata-monitor DIRECTORY STORE ID [adopt]
//
// With "adopt" the container runs, and its monitor was killed: the new one takes its place.
// DIRECTORY and STORE are the state's and the image store's. Its descriptor 3 is a pipe to whoever started
// it; 4, if it is open, a socket to one who is attached from the first byte on.
#pragma once

#include "instance/instances.hpp"

namespace strata::instance {

namespace monitor {

inline constexpr auto program = "strata-monitor", adopt_word = "adopt";
inline constexpr int answer_descriptor = 3, attached_descriptor = 4;
// What it answers: that the program runs, that the layers must be copied first, or "message\nhint"; nothing
// if it was killed.
inline constexpr auto runs = "+", copy_first = "c";
inline constexpr char separator = '\n';

} // namespace monitor

// Starts the instance and its monitor. Returns when the container's program runs, or an error when it does
// not. `attached`, unless it is -1, is the monitor's end of a socket pair to one who is attached from the
// first byte on.
[[nodiscard]] Result<void> launch(const Instances& instances, const Instance& instance, int attached = -1);

// Gives a container that runs and whose monitor was killed another one; others are left alone. Whether it was
// such a one: its state may be another then. What goes wrong is left to who comes next.
bool attend(const Instances& instances, const Instance& instance);

} // namespace strata::instance
