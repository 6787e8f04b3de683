// linux.intelRdt: shares of caches and of memory bandwidth, by the resctrl file system (kernel documentation:
// arch/x86/resctrl.rst), in which each directory is a class of service, with groups for monitoring below it.
#pragma once

#include "base/error.hpp"
#include "base/json_reader.hpp"
#include "container/config/config.hpp"

#include <optional>
#include <string>
#include <sys/types.h>

namespace strata::container {

struct RdtGroup {
    std::string directory; // of the class of service
    std::string monitor;   // of a group for monitoring; empty without one
    bool own = false;      // made for the container, and removed with it
};

// Where resctrl is mounted, of the text of /proc/self/mountinfo.
[[nodiscard]] std::optional<std::string> find_resctrl(const std::string& mountinfo);

// The same of this host; an error where it is not.
[[nodiscard]] Result<std::string> resctrl_of_host();

// Makes what is asked for below `root`. A class that is there already must be as it is asked for.
[[nodiscard]] Result<RdtGroup> make_rdt_group(const std::string& root, const IntelRdt& rdt,
                                              const std::string& id);

// This process, and those that it will make.
[[nodiscard]] Result<void> add_to_rdt_group(const RdtGroup& group, pid_t pid);

[[nodiscard]] Result<void> write_schemata(const RdtGroup& group, const IntelRdt& rdt);

// What is not the container's own stays; what is gone is no error.
[[nodiscard]] Result<void> remove_rdt_group(const RdtGroup& group);

// Where resctrl is mounted: right above the class, unless that is all of it.
[[nodiscard]] std::string rdt_root(const RdtGroup& group);

// As runc's events have it.
[[nodiscard]] Json rdt_stats(const RdtGroup& group);

} // namespace strata::container
