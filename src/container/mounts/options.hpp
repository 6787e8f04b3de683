// The option words of a mount (runtime specification, "Linux mount options"), as the kernel's mount API wants
// them.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strata::container {

struct MountOptions {
    std::uint64_t set = 0, clear = 0;                     // MOUNT_ATTR_* of the mount itself
    std::uint64_t set_recursive = 0, clear_recursive = 0; // and of all below it
    std::vector<unsigned long> propagation;               // MS_SHARED, ..., in order, perhaps with MS_REC
    std::vector<std::string> superblock_flags;            // "sync", "dirsync", ...: fsconfig's flags
    std::vector<std::string> data;                        // for the file system: "mode=755", "noswap"
    bool bind = false, recursive_bind = false;
    bool idmap = false, recursive_idmap = false;
    bool copy_up = false; // fill a new tmpfs with what it hides

    [[nodiscard]] bool read_only() const;
};

[[nodiscard]] Result<MountOptions> parse_mount_options(const Mount& mount);

// All words that are not handed to the file system.
[[nodiscard]] std::vector<std::string_view> mount_option_names();

} // namespace strata::container
