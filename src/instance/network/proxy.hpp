// Published ports: connections to a port of the host, passed on to one of a container by its monitor. The
// host's firewall sees them as what they are, connections to the host.
#pragma once

#include "instance/settings.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace strata::instance {

// Listens on the ports, for which 0 becomes a free one, and passes what comes on to `address`. The process
// that does so ends with this one.
[[nodiscard]] Result<void> publish_ports(std::vector<Port>& ports, const std::string& address,
                                         pid_t& process);

} // namespace strata::instance
