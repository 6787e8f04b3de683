// What systemd is told of a container, so that it keeps to it: see systemd.resource-control(5), and for which
// limit becomes which property runc's docs/systemd.md.
#pragma once

#include "container/config/config.hpp"
#include "container/systemd/property.hpp"
#include "container/systemd/unit.hpp"

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace strata::container {

using UnitProperties = std::vector<UnitProperty>;

// What each container's unit has. A slice takes no process with it.
[[nodiscard]] UnitProperties basic_properties(const SystemdUnit& unit, const std::string& description,
                                              pid_t pid, bool unified);

// `unified`: the host has cgroup v2 alone. `period` is the group's CPU period where a quota comes without
// one.
[[nodiscard]] Result<UnitProperties> limit_properties(const Resources& resources, bool unified,
                                                      std::uint64_t period = 100'000);

// DevicePolicy and DeviceAllow. What they cannot say, "all but these", is left to the program on the group.
[[nodiscard]] UnitProperties device_properties(const std::vector<DeviceRule>& rules);

// Of the annotations "org.systemd.property.NAME".
[[nodiscard]] Result<UnitProperties>
annotated_properties(const std::map<std::string, std::string>& annotations);

} // namespace strata::container
