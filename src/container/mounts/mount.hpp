// One mount: made detached, given its attributes, and only then attached to a place in the container's root
// that the kernel resolved inside it. No step takes a path that the image could redirect.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/kernel/root_directory.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/mounts/options.hpp"

namespace strata::container {

// A new instance of a file system, detached. Read-only ones are so in their superblock too, where it is new.
[[nodiscard]] Result<FileDescriptor> make_filesystem(const Mount& mount, const MountOptions& options,
                                                     const std::string& label);

// A copy of what is mounted at the source, detached; with all that is mounted below it for rbind.
[[nodiscard]] Result<FileDescriptor> copy_mount(int directory, const std::string& path, bool recursive);

// The attributes and the ID mapping (`user_namespace`, -1 for none) of a detached copy.
[[nodiscard]] Result<void> set_attributes(int mount_fd, const MountOptions& options, int user_namespace,
                                          const std::string& destination);

// Attaches a detached mount on top of what `target` (O_PATH) is.
[[nodiscard]] Result<void> attach_mount(int mount_fd, int target, const std::string& destination);

// The propagation of what `mount_fd` is: MS_SLAVE, ..., perhaps with MS_REC.
[[nodiscard]] Result<void> set_propagation(int mount_fd, unsigned long propagation,
                                           const std::string& destination);

// The place in the root for a mount of a directory or of something else, made if missing.
[[nodiscard]] Result<FileDescriptor> make_mount_point(const RootDirectory& root,
                                                      const std::string& destination, bool directory);

[[nodiscard]] bool is_directory(int fd);

} // namespace strata::container
