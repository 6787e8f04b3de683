// What of a running container lies outside of it: mounts that were bound into it, and the streams that its
// creator gave it. CRIU does not save these; it is told to leave them out, and at the restore gets others in
// their place.
#pragma once

#include "base/error.hpp"
#include "container/cgroups/cgroup.hpp"
#include "container/config/config.hpp"

#include <map>
#include <string>
#include <vector>

namespace strata::container {

struct Outside {
    std::vector<std::string> mounts; // mount points
    std::map<int, std::string>
        descriptors; // of the root process, in CRIU's words: "pipe:[4711]", "file[1f:2a]"

    // Pipes are known by their one end; of anything else CRIU has to be told that it is outside.
    [[nodiscard]] static bool must_be_told(const std::string& key) { return !key.starts_with("pipe:"); }
};

[[nodiscard]] Result<Outside> find_outside(pid_t pid, const Config& config);

// The mount points, of the text of a /proc/PID/mountinfo.
[[nodiscard]] std::vector<std::string> find_outside_mounts(const std::string& mountinfo,
                                                           const Config& config);

// What is to be mounted there at the restore.
[[nodiscard]] Result<std::string> source_of_mount(const std::string& place, const Config& config,
                                                  const Cgroup& cgroup);

// Kept among CRIU's images.
[[nodiscard]] Result<void> save_outside(const Outside& outside, const std::string& directory);
[[nodiscard]] Result<Outside> load_outside(const std::string& directory);

} // namespace strata::container
