// The users of a container, from the files of its root: passwd(5), group(5). The files are hostile, as is
// where they are.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strata::instance {

struct User {
    std::uint32_t uid = 0, gid = 0;
    std::vector<std::uint32_t> groups{};
    std::string home{"/"};
};

// `text` is USER[:GROUP], each a name or a number, as in `--user`; "" is root. `root` is the open root
// directory; `groups` are further ones, by name or number.
[[nodiscard]] Result<User> resolve_user(int root, const std::string& text,
                                        const std::vector<std::string>& groups);

} // namespace strata::instance
