// The ID maps of user namespaces (user_namespaces(7)).
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/config/config.hpp"
#include "container/kernel/procfs.hpp"

#include <sys/types.h>
#include <vector>

namespace strata::container {

// Of the process `pid`, which is in a new user namespace. As root directly; as another user, one ID of its
// own directly, and more by newuidmap and newgidmap, which know what /etc/subuid grants.
[[nodiscard]] Result<void> write_id_maps(pid_t pid, const std::vector<IdMapping>& uids,
                                         const std::vector<IdMapping>& gids);

// A user namespace for ID-mapped mounts; no process stays in it.
[[nodiscard]] Result<FileDescriptor> make_mapping_namespace(const std::vector<IdMapping>& uids,
                                                            const std::vector<IdMapping>& gids);

// False where this process's user namespace has setgroups(2) switched off.
[[nodiscard]] bool groups_are_changeable(const Procfs& proc);

} // namespace strata::container
