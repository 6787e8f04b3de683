// /dev of a container: the specification's default devices and symbolic links, and those of the
// configuration.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"
#include "container/kernel/root_directory.hpp"

namespace strata::container {

// The devices are made where that is allowed, else (in a user namespace) the host's are bound.
[[nodiscard]] Result<void> make_devices(const RootDirectory& root, const std::vector<Device>& devices);

// /dev/fd, /dev/stdin, ... and /dev/ptmx.
[[nodiscard]] Result<void> make_device_links(const RootDirectory& root);

// A detached mount of the host's /dev/null, checked to be the device it is said to be. Before the root is
// entered.
[[nodiscard]] Result<FileDescriptor> copy_null_device();

[[nodiscard]] const std::vector<Device>& default_devices();

} // namespace strata::container
