// The IDs that a user may give to the users of its containers: subuid(5), subgid(5).
#pragma once

#include "container/config/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace strata::instance {

// The map of a user namespace: `own` is root, and what `text`, a file like /etc/subuid, grants to `user` (or
// to `own`, as a number) are the IDs from 1 on. Lines that make no sense grant nothing.
[[nodiscard]] std::vector<container::IdMapping> own_id_map(std::string_view text, std::string_view user,
                                                           std::uint32_t own);

} // namespace strata::instance
