// The root of a container: the layers of its image below a directory of its own, by overlayfs; the kernel's
// Documentation/filesystems/overlayfs.rst. On hosts without it, a copy.
#pragma once

#include "instance/instances.hpp"

#include <string>

namespace strata::instance {

// Mounts the root where the instance's directory has root/, in this process's mount namespace, and returns
// the path; an instance of a plain directory has that one. Where overlayfs does not work the layers are
// copied, once.
[[nodiscard]] Result<std::string> mount_root(const Instances& instances, const Instance& instance);

// Whether its layers were copied.
[[nodiscard]] bool is_copied(const Instances& instances, const Instance& instance);

// Unmounts what is mounted at an instance's root/, if anything is.
void unmount_root(const std::string& path);

// Gives this process, which must have one thread, a mount namespace of its own: what it mounts is gone when
// it ends, however it ends.
[[nodiscard]] Result<void> hide_mounts();

} // namespace strata::instance
