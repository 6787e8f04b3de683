// The process that keeps a user namespace while somebody is in it; user_namespace.hpp says why.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstdint>
#include <string>

namespace strata::instance {

struct Keeper {
    std::int64_t pid = 0, start = 0; // 0 for none
};

[[nodiscard]] FileDescriptor open_entering(const std::string& directory);
[[nodiscard]] FileDescriptor open_members(const std::string& directory);
[[nodiscard]] Keeper keeper_in(const FileDescriptor& members);

// Starts the keeper of the user namespace that this process is in, which has the lock of those who enter.
[[nodiscard]] Result<void> start_keeper(const std::string& directory);

} // namespace strata::instance
