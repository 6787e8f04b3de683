// What a container sees of its control group at /sys/fs/cgroup.
#pragma once

#include "base/error.hpp"
#include "container/cgroups/cgroup.hpp"
#include "container/cgroups/host.hpp"
#include "container/kernel/root_directory.hpp"
#include "container/mounts/options.hpp"

namespace strata::container {

struct CgroupView {
    const CgroupHost& host;
    const Cgroup& cgroup;
    bool own_namespace; // the process is in a cgroup namespace whose root is its cgroup
};

// A mount of type cgroup: the unified hierarchy where it is the host's only one, else a tmpfs with a
// directory for each version 1 hierarchy. Without a cgroup namespace the container's own directories are
// bound.
[[nodiscard]] Result<void> mount_cgroups(const RootDirectory& root, const Mount& mount,
                                         const MountOptions& options, const CgroupView& view);

} // namespace strata::container
