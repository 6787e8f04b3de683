// Published ports: connections to a port of the host, passed on to one of a container by its monitor. The
// host's firewall sees them as what they are, connections to the host.
#pragma once

#include "instance/network/helper_process.hpp"
#include "instance/settings.hpp"

#include <string>
#include <vector>

namespace strata::instance {

// Listens on the ports, for which 0 becomes a free one, and passes what comes on to `address`: from this
// host, or from inside the network namespace `space` unless that is -1.
[[nodiscard]] Result<HelperProcess> publish_ports(std::vector<Port>& ports, const std::string& address,
                                                  int space);

} // namespace strata::instance
