// Address translation for what leaves the bridge's network, by nf_tables through libnftnl: a table of its
// own, "strata", so that nobody's rules are touched.
#pragma once

#include "instance/network/netlink.hpp"

namespace strata::instance {

// Makes sure that packets of `network`/`prefix` that leave by another device than the bridge get this host's
// address.
[[nodiscard]] Result<void> need_masquerade(Address network, unsigned prefix, const std::string& bridge);
[[nodiscard]] Result<void> need_masquerade(const Address6& network, unsigned prefix,
                                           const std::string& bridge);

} // namespace strata::instance
