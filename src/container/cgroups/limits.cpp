// Each limit to where its controller is; a limit without its controller is an error that says so.
#include "container/cgroups/cgroup.hpp"
#include "container/cgroups/controllers.hpp"

#include <algorithm>

namespace strata::container {
namespace {

bool wants_memory(const MemoryLimits& limits) {
    return limits.limit || limits.reservation || limits.swap || limits.kernel_tcp || limits.swappiness ||
           limits.disable_oom_killer;
}

bool wants_cpu(const CpuLimits& limits) {
    return limits.shares || limits.period || limits.quota || limits.burst || limits.idle ||
           limits.realtime_period || limits.realtime_runtime;
}

bool wants_block_io(const BlockIoLimits& limits) {
    return limits.weight || limits.leaf_weight || !limits.weight_devices.empty() ||
           !limits.read_bps.empty() || !limits.write_bps.empty() || !limits.read_iops.empty() ||
           !limits.write_iops.empty();
}

// Calls the version's function if the limit is wanted.
template <class Version1, class Version2>
Result<void> route(const Cgroup& cgroup, bool wanted, const char* v1_name, const char* v2_name,
                   Version1 version_1, Version2 version_2) {
    if (!wanted) {
        return {};
    }
    const auto place =
        v1_name != nullptr && cgroup.paths().contains(v1_name) ? cgroup.find(v1_name) : cgroup.find(v2_name);
    if (!place) {
        return fail("config.json: linux.resources limits " + std::string(v2_name) +
                        ", for which the container's cgroup has no controller",
                    "see /proc/cgroups, and whether the controller is delegated to you");
    }
    return place->unified ? version_2(place->directory) : version_1(place->directory);
}

Result<void> no_such_file(const std::string& /*directory*/) {
    return fail("config.json: linux.resources asks for what only the other version of cgroups can do");
}

} // namespace

Result<void> Cgroup::set_devices(const std::vector<DeviceRule>& rules) const {
    const auto complete = complete_device_rules(rules);
    if (const auto v1 = paths_.find("devices"); v1 != paths_.end()) {
        return v1::set_devices(v1->second, complete);
    }
    const auto unified = paths_.find("");
    return unified != paths_.end() ? v2::set_devices(unified->second, complete) : Result<void>{};
}

Result<void> Cgroup::set(const Resources& r) const {
    const Result<void> steps[] = {
        route(
            *this, wants_memory(r.memory), "memory", "memory",
            [&](const std::string& at) { return v1::set_memory(at, r.memory); },
            [&](const std::string& at) { return v2::set_memory(at, r.memory); }),
        route(
            *this, wants_cpu(r.cpu), "cpu", "cpu",
            [&](const std::string& at) { return v1::set_cpu(at, r.cpu); },
            [&](const std::string& at) { return v2::set_cpu(at, r.cpu); }),
        route(
            *this, !r.cpu.cpus.empty() || !r.cpu.mems.empty(), "cpuset", "cpuset",
            [&](const std::string& at) { return v1::set_cpuset(at, r.cpu); },
            [&](const std::string& at) { return v2::set_cpuset(at, r.cpu); }),
        route(
            *this, r.pids_limit.value_or(0) != 0, "pids", "pids",
            [&](const std::string& at) { return v1::set_pids(at, *r.pids_limit); },
            [&](const std::string& at) { return v2::set_pids(at, *r.pids_limit); }),
        route(
            *this, wants_block_io(r.block_io), "blkio", "io",
            [&](const std::string& at) { return v1::set_block_io(at, r.block_io); },
            [&](const std::string& at) { return v2::set_block_io(at, r.block_io); }),
        route(
            *this, !r.hugepages.empty(), "hugetlb", "hugetlb",
            [&](const std::string& at) { return v1::set_hugepages(at, r.hugepages); },
            [&](const std::string& at) { return v2::set_hugepages(at, r.hugepages); }),
        route(
            *this, !r.rdma.empty(), "rdma", "rdma",
            [&](const std::string& at) { return v2::set_rdma(at, r.rdma); },
            [&](const std::string& at) { return v2::set_rdma(at, r.rdma); }),
        route(
            *this, r.network_class.has_value(), "net_cls", "net_cls",
            [&](const std::string& at) { return v1::set_network_class(at, *r.network_class); }, no_such_file),
        route(
            *this, !r.network_priorities.empty(), "net_prio", "net_prio",
            [&](const std::string& at) { return v1::set_network_priorities(at, r.network_priorities); },
            no_such_file),
    };
    for (const auto& step : steps) {
        if (!step) {
            return step;
        }
    }
    if (r.unified.empty()) {
        return {};
    }
    const auto unified = paths_.find("");
    if (unified == paths_.end()) {
        return fail("config.json: linux.resources.unified is for cgroup v2, which this host does not have");
    }
    return v2::set_unified(unified->second, r.unified);
}

} // namespace strata::container
