// The root of a container: the layers of its image below a directory of its own, by overlayfs; the kernel's
// Documentation/filesystems/overlayfs.rst. On hosts without it, a copy.
#pragma once

#include "instance/instances.hpp"

#include <cerrno>
#include <string>

namespace strata::instance {

// Mounts the root where the instance's directory has root/, in this process's mount namespace, and returns
// the path; an instance of a plain directory has that one. Where overlayfs does not work it is a copy of the
// layers; as long as there is none, the error's code is `needs_copy` (layer_copy.hpp makes it).
[[nodiscard]] Result<std::string> mount_root(const Instances& instances, const Instance& instance);

inline constexpr int needs_copy = EOPNOTSUPP;

// Where the copy of an instance's layers is, and the list of its files as they were (copy_changes.hpp);
// whether there is one.
[[nodiscard]] std::string copy_of_layers(const Instances& instances, const Instance& instance);
[[nodiscard]] std::string list_of_copy(const Instances& instances, const Instance& instance);
[[nodiscard]] bool is_copied(const Instances& instances, const Instance& instance);

// Unmounts what is mounted at an instance's root/, if anything is.
void unmount_root(const std::string& path);

// Gives this process, which must have one thread, a mount namespace of its own: what it mounts is gone when
// it ends, however it ends.
[[nodiscard]] Result<void> hide_mounts();

} // namespace strata::instance
