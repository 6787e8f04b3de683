// How the specification's limits are written to each version's files.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

#include <string>

namespace strata::container {

namespace v1 {

[[nodiscard]] Result<void> set_memory(const std::string& directory, const MemoryLimits& limits);
[[nodiscard]] Result<void> set_cpu(const std::string& directory, const CpuLimits& limits);
[[nodiscard]] Result<void> set_cpuset(const std::string& directory, const CpuLimits& limits);
[[nodiscard]] Result<void> set_pids(const std::string& directory, std::int64_t limit);
[[nodiscard]] Result<void> set_block_io(const std::string& directory, const BlockIoLimits& limits);
[[nodiscard]] Result<void> set_hugepages(const std::string& directory,
                                         const std::vector<HugepageLimit>& limits);
[[nodiscard]] Result<void> set_network_class(const std::string& directory, std::uint32_t class_id);
[[nodiscard]] Result<void> set_network_priorities(const std::string& directory,
                                                  const std::vector<NetworkPriority>& priorities);
[[nodiscard]] Result<void> set_devices(const std::string& directory, const std::vector<DeviceRule>& rules);

// A new cpuset is empty and takes no process: it gets its parent's CPUs and memory nodes.
[[nodiscard]] Result<void> inherit_cpuset(const std::string& directory);

} // namespace v1

namespace v2 {

[[nodiscard]] Result<void> set_memory(const std::string& directory, const MemoryLimits& limits);
[[nodiscard]] Result<void> set_cpu(const std::string& directory, const CpuLimits& limits);
[[nodiscard]] Result<void> set_cpuset(const std::string& directory, const CpuLimits& limits);
[[nodiscard]] Result<void> set_pids(const std::string& directory, std::int64_t limit);
[[nodiscard]] Result<void> set_block_io(const std::string& directory, const BlockIoLimits& limits);
[[nodiscard]] Result<void> set_hugepages(const std::string& directory,
                                         const std::vector<HugepageLimit>& limits);
[[nodiscard]] Result<void> set_rdma(const std::string& directory, const std::vector<RdmaLimit>& limits);

// The unified map's files, as they are.
[[nodiscard]] Result<void> set_unified(const std::string& directory,
                                       const std::map<std::string, std::string>& files);

// Attaches an eBPF program to the cgroup.
[[nodiscard]] Result<void> set_devices(const std::string& directory, const std::vector<DeviceRule>& rules);

// cgroup v1's shares (2 to 262144) as v2's weight (1 to 10000), as runtimes have agreed on.
[[nodiscard]] std::uint64_t weight_of_shares(std::uint64_t shares);

// blkio's weight (10 to 1000) as io.weight's (1 to 10000).
[[nodiscard]] std::uint64_t weight_of_block_io(std::uint64_t weight);

} // namespace v2

// The configuration's rules and after them what every container may use.
[[nodiscard]] std::vector<DeviceRule> complete_device_rules(const std::vector<DeviceRule>& rules);

} // namespace strata::container
