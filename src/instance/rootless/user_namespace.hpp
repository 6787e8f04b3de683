// Containers of users who are not root: a user namespace (user_namespaces(7)) in which the user is root, and
// has the subordinate IDs that /etc/subuid and /etc/subgid grant; without any, its own ID alone. All commands
// and monitors of a state directory share one, since what is in one namespace cannot be reached from another
// beside it.
//
//   DIRECTORY/run/namespace        who is in it has a shared flock(2); it names the keeper
//   DIRECTORY/run/namespace.lock   owned by who enters
//
// A *keeper*, a process that only waits, keeps the namespace for those who come, and ends when nobody is in
// it any more. Should it be killed, the next command finds the namespace by a container that runs, and starts
// another.
#pragma once

#include "base/error.hpp"

#include <string>

namespace strata::instance {

// Makes this process, which must have one thread, root in the user namespace of the state directory. For root
// there is nothing to do.
[[nodiscard]] Result<void> enter_user_namespace(const std::string& directory);

// Keeps the namespace, which this process was started in, for it, too.
void stay_in_user_namespace(const std::string& directory);

} // namespace strata::instance
