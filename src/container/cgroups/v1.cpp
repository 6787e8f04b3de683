// Kernel documentation: admin-guide/cgroup-v1.
#include "container/cgroups/controllers.hpp"
#include "container/cgroups/files.hpp"

namespace strata::container::v1 {
namespace {

Result<void> write_number(const std::string& directory, const std::string& name, auto value) {
    return write_cgroup_file(directory, name, std::to_string(value));
}

template <class T>
Result<void> write_optional(const std::string& directory, const std::string& name,
                            const std::optional<T>& value) {
    return value ? write_number(directory, name, *value) : Result<void>{};
}

std::string device_name(std::uint32_t major, std::uint32_t minor) {
    return std::to_string(major) + ":" + std::to_string(minor);
}

Result<void> write_throttles(const std::string& directory, const std::string& name,
                             const std::vector<BlockThrottle>& throttles) {
    for (const BlockThrottle& throttle : throttles) {
        const auto line = device_name(throttle.major, throttle.minor) + " " + std::to_string(throttle.rate);
        if (auto written = write_cgroup_file(directory, name, line); !written) {
            return written;
        }
    }
    return {};
}

// The first failure of several steps.
Result<void> first_failure(std::initializer_list<Result<void>> steps) {
    for (const auto& step : steps) {
        if (!step) {
            return step;
        }
    }
    return {};
}

// Memory with swap may not be less than memory: which of the two comes first depends on the direction.
Result<void> set_memory_and_swap(const std::string& directory, const MemoryLimits& limits) {
    constexpr auto memory = "memory.limit_in_bytes", swap = "memory.memsw.limit_in_bytes";
    std::optional<std::int64_t> total = limits.swap;
    if (limits.limit == -1 && !total && has_cgroup_file(directory, swap)) {
        total = -1;
    }
    if (total == 0) {
        total.reset(); // unset, in Docker's language
    }
    if (limits.limit && total) {
        const auto now = read_cgroup_number(directory, memory).value_or(UINT64_MAX);
        const bool grows = *total == -1 || now < static_cast<std::uint64_t>(*total);
        return grows ? first_failure({write_number(directory, swap, *total),
                                      write_number(directory, memory, *limits.limit)})
                     : first_failure({write_number(directory, memory, *limits.limit),
                                      write_number(directory, swap, *total)});
    }
    return first_failure(
        {write_optional(directory, memory, limits.limit), write_optional(directory, swap, total)});
}

} // namespace

Result<void> set_memory(const std::string& directory, const MemoryLimits& limits) {
    if (limits.check_before_update && limits.limit && *limits.limit > 0) {
        const auto usage = read_cgroup_number(directory, "memory.usage_in_bytes").value_or(0);
        if (usage > static_cast<std::uint64_t>(*limits.limit)) {
            return fail("memory limit " + std::to_string(*limits.limit) +
                        " is below what is used: " + std::to_string(usage));
        }
    }
    return first_failure({set_memory_and_swap(directory, limits),
                          write_optional(directory, "memory.soft_limit_in_bytes", limits.reservation),
                          write_optional(directory, "memory.kmem.tcp.limit_in_bytes", limits.kernel_tcp),
                          write_optional(directory, "memory.swappiness", limits.swappiness),
                          limits.disable_oom_killer ? write_cgroup_file(directory, "memory.oom_control", "1")
                                                    : Result<void>{}});
    // limits.kernel is ignored, as the kernel does since 5.16.
}

Result<void> set_cpu(const std::string& directory, const CpuLimits& limits) {
    return first_failure({write_optional(directory, "cpu.rt_period_us", limits.realtime_period),
                          write_optional(directory, "cpu.rt_runtime_us", limits.realtime_runtime),
                          write_optional(directory, "cpu.shares", limits.shares),
                          write_optional(directory, "cpu.cfs_period_us", limits.period),
                          write_optional(directory, "cpu.cfs_quota_us", limits.quota),
                          write_optional(directory, "cpu.cfs_burst_us", limits.burst),
                          write_optional(directory, "cpu.idle", limits.idle)});
}

Result<void> set_cpuset(const std::string& directory, const CpuLimits& limits) {
    return first_failure(
        {limits.cpus.empty() ? Result<void>{} : write_cgroup_file(directory, "cpuset.cpus", limits.cpus),
         limits.mems.empty() ? Result<void>{} : write_cgroup_file(directory, "cpuset.mems", limits.mems)});
}

Result<void> inherit_cpuset(const std::string& directory) {
    const std::string parent = directory.substr(0, directory.rfind('/'));
    for (const char* name : {"cpuset.cpus", "cpuset.mems"}) {
        const auto own = read_cgroup_file(directory, name);
        if (!own) {
            return std::unexpected(own.error());
        }
        if (own->find_first_not_of(" \n") != std::string::npos) {
            continue;
        }
        const auto inherited = read_cgroup_file(parent, name);
        if (!inherited) {
            return std::unexpected(inherited.error());
        }
        if (auto written = write_cgroup_file(directory, name, *inherited); !written) {
            return written;
        }
    }
    return {};
}

Result<void> set_pids(const std::string& directory, std::int64_t limit) {
    return write_cgroup_file(directory, "pids.max", limit > 0 ? std::to_string(limit) : "max");
}

Result<void> set_block_io(const std::string& directory, const BlockIoLimits& limits) {
    const bool bfq =
        has_cgroup_file(directory, "blkio.bfq.weight") && !has_cgroup_file(directory, "blkio.weight");
    const std::string prefix = bfq ? "blkio.bfq." : "blkio.";
    for (const BlockWeight& device : limits.weight_devices) {
        const std::string name = device_name(device.major, device.minor) + " ";
        if (device.weight) {
            if (auto set = write_cgroup_file(directory, prefix + "weight_device",
                                             name + std::to_string(*device.weight));
                !set) {
                return set;
            }
        }
        if (device.leaf_weight) {
            if (auto set = write_cgroup_file(directory, "blkio.leaf_weight_device",
                                             name + std::to_string(*device.leaf_weight));
                !set) {
                return set;
            }
        }
    }
    return first_failure({limits.weight.value_or(0) != 0
                              ? write_number(directory, prefix + "weight", *limits.weight)
                              : Result<void>{},
                          limits.leaf_weight.value_or(0) != 0
                              ? write_number(directory, "blkio.leaf_weight", *limits.leaf_weight)
                              : Result<void>{},
                          write_throttles(directory, "blkio.throttle.read_bps_device", limits.read_bps),
                          write_throttles(directory, "blkio.throttle.write_bps_device", limits.write_bps),
                          write_throttles(directory, "blkio.throttle.read_iops_device", limits.read_iops),
                          write_throttles(directory, "blkio.throttle.write_iops_device", limits.write_iops)});
}

Result<void> set_hugepages(const std::string& directory, const std::vector<HugepageLimit>& limits) {
    for (const HugepageLimit& limit : limits) {
        if (auto set = write_number(directory, "hugetlb." + limit.page_size + ".limit_in_bytes", limit.limit);
            !set) {
            return set;
        }
    }
    return {};
}

Result<void> set_network_class(const std::string& directory, std::uint32_t class_id) {
    return write_number(directory, "net_cls.classid", class_id);
}

Result<void> set_network_priorities(const std::string& directory,
                                    const std::vector<NetworkPriority>& priorities) {
    for (const NetworkPriority& entry : priorities) {
        const auto line = entry.name + " " + std::to_string(entry.priority);
        if (auto set = write_cgroup_file(directory, "net_prio.ifpriomap", line); !set) {
            return set;
        }
    }
    return {};
}

Result<void> set_devices(const std::string& directory, const std::vector<DeviceRule>& rules) {
    if (auto denied = write_cgroup_file(directory, "devices.deny", "a"); !denied) {
        return denied;
    }
    const auto number = [](const std::optional<std::uint32_t>& value) {
        return value ? std::to_string(*value) : "*";
    };
    for (const DeviceRule& rule : rules) {
        const std::string file = rule.allow ? "devices.allow" : "devices.deny";
        const bool everything = rule.type == 'a' && !rule.major && !rule.minor && rule.access.size() == 3;
        // The kernel reads "a" as everything whatever follows.
        for (const char type : everything         ? std::string("a")
                               : rule.type == 'a' ? std::string("bc")
                                                  : std::string(1, rule.type)) {
            const auto line = everything ? std::string("a")
                                         : std::string(1, type) + " " + number(rule.major) + ":" +
                                               number(rule.minor) + " " + rule.access;
            if (auto set = write_cgroup_file(directory, file, line); !set) {
                return set;
            }
        }
    }
    return {};
}

} // namespace strata::container::v1
