// What packets of a network of containers may do, by nf_tables through libnftnl: a table of Strata's own,
// "strata", with two chains for each bridge, so that nobody's rules are touched.
#pragma once

#include "instance/network/subnet.hpp"

#include <string>

namespace strata::instance {

// All bridges are called so, and a number: what comes from one does not get to another.
inline constexpr auto bridge_prefix = "strata";

// Makes sure that packets from the subnet that leave by another device than the bridge get this host's
// address, and that none gets to another bridge; of an `internal` network nothing leaves, nor does anything
// come.
[[nodiscard]] Result<void> need_rules(const std::string& bridge, const Subnet& subnet, bool internal);
[[nodiscard]] Result<void> need_rules(const std::string& bridge, const Subnet6& subnet, bool internal);
void remove_rules(const std::string& bridge);

} // namespace strata::instance
