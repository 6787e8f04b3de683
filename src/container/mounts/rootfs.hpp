// The container's root: its mounts, devices and masks, and becoming it. The creator opens what the
// container's process could not; the rest is done by that process in its own mount namespace.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/config/config.hpp"
#include "container/kernel/root_directory.hpp"
#include "container/mounts/cgroup_view.hpp"
#include "container/mounts/options.hpp"

#include <vector>

namespace strata::container {

struct PreparedMount {
    MountOptions options;
    FileDescriptor source; // a detached copy, if the creator had to make it
};

struct PreparedRoot {
    FileDescriptor root;               // likewise
    std::vector<PreparedMount> mounts; // as in the configuration
};

// In the creator, before the container's process exists. Checks all options.
[[nodiscard]] Result<PreparedRoot> prepare_root(const Config& config);

// In the container's process, in its mount namespace, before and after its hooks of kind createContainer.
class Rootfs {
public:
    // Makes the root and everything mounted in it.
    static Result<Rootfs> build(const Config& config, PreparedRoot& prepared, const CgroupView& cgroups);

    // Makes the root this process's; what was there before is gone. `pivot` false for a root on a ramfs.
    [[nodiscard]] Result<void> enter(bool pivot) const;

    // Read-only and masked paths: after enter(), and after all that writes to the root.
    [[nodiscard]] Result<void> seal() const;

    [[nodiscard]] const RootDirectory& directory() const { return root_; }

private:
    Rootfs(const Config& config, PreparedRoot& prepared, RootDirectory root)
        : config_(&config), prepared_(&prepared), root_(std::move(root)) {}

    [[nodiscard]] Result<void> mount_all(const CgroupView& cgroups);
    [[nodiscard]] Result<void> mount_one(const Mount& mount, PreparedMount& prepared,
                                         const CgroupView& cgroups);
    [[nodiscard]] Result<void> mount_filesystem(const Mount& mount, const MountOptions& options);
    [[nodiscard]] Result<void> mount_bind(const Mount& mount, PreparedMount& prepared);
    [[nodiscard]] Result<void> fill_dev() const;

    const Config* config_;
    PreparedRoot* prepared_;
    RootDirectory root_;
    FileDescriptor null_; // the host's /dev/null, detached
    std::vector<FileDescriptor>
        read_only_later_; // file systems that mounts below them still need to write to
};

} // namespace strata::container
