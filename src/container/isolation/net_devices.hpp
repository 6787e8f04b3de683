// The network devices of a container: its loopback device, and linux.netDevices, those of the host's that
// move in.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

#include <sys/types.h>

namespace strata::container {

// Into the network namespace of `pid`, under their names there, with their permanent addresses, and up if
// they were.
[[nodiscard]] Result<void> move_net_devices(pid_t pid, const std::vector<NetDevice>& devices);

// In this process's network namespace, which is new and the container's own.
[[nodiscard]] Result<void> switch_on_loopback();

} // namespace strata::container
