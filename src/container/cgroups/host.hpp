// Where this host keeps its control groups: version 1 hierarchies, the unified one, or both (a hybrid host).
#pragma once

#include "base/error.hpp"

#include <map>
#include <string>
#include <vector>

namespace strata::container {

// One mounted hierarchy, and where in it this process is.
struct CgroupHierarchy {
    std::vector<std::string> controllers; // "cpu", "cpuacct", or "name=systemd"; empty for the unified one
    std::string mount_point;
    std::string root; // the cgroup that is mounted there, "/" outside of containers
    std::string own;  // this process's cgroup, from the hierarchy's root
};

struct CgroupHost {
    std::vector<CgroupHierarchy> v1;
    std::vector<CgroupHierarchy> unified; // one or none

    [[nodiscard]] const CgroupHierarchy* find_v1(const std::string& controller) const;
};

[[nodiscard]] Result<CgroupHost> detect_cgroup_host();

// The same from the texts of /proc/self/mountinfo and /proc/self/cgroup.
[[nodiscard]] CgroupHost parse_cgroup_host(const std::string& mountinfo, const std::string& cgroups);

} // namespace strata::container
