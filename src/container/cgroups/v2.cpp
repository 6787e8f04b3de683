// Kernel documentation: admin-guide/cgroup-v2.rst.
#include "container/cgroups/controllers.hpp"
#include "container/cgroups/files.hpp"

#include <algorithm>

namespace strata::container::v2 {
namespace {

// -1 is "max" in v2's files.
std::string text_of(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

class Writer {
public:
    explicit Writer(std::string directory) : directory_(std::move(directory)) {}

    void write(const std::string& name, std::string_view text) {
        if (status_) {
            status_ = write_cgroup_file(directory_, name, text);
        }
    }

    void write_if(bool wanted, const std::string& name, std::string_view text) {
        if (wanted) {
            write(name, text);
        }
    }

    [[nodiscard]] Result<void> status() const { return status_; }

private:
    std::string directory_;
    Result<void> status_;
};

Result<std::string> swap_of(const MemoryLimits& limits) {
    if (*limits.swap < 0) {
        return "max";
    }
    if (!limits.limit || *limits.limit < 0 || *limits.swap < *limits.limit) {
        return fail("memory and swap together (" + std::to_string(*limits.swap) +
                    ") must be at least the memory limit");
    }
    return std::to_string(*limits.swap - *limits.limit);
}

std::string device_name(std::uint32_t major, std::uint32_t minor) {
    return std::to_string(major) + ":" + std::to_string(minor) + " ";
}

} // namespace

std::uint64_t weight_of_shares(std::uint64_t shares) {
    constexpr std::uint64_t least = 2, most = 262144;
    return 1 + (std::clamp(shares, least, most) - least) * 9999 / (most - least);
}

std::uint64_t weight_of_block_io(std::uint64_t weight) { return 1 + (weight - 10) * 9999 / 990; }

Result<void> set_memory(const std::string& directory, const MemoryLimits& limits) {
    if (limits.check_before_update && limits.limit && *limits.limit > 0) {
        const auto usage = read_cgroup_number(directory, "memory.current").value_or(0);
        if (usage > static_cast<std::uint64_t>(*limits.limit)) {
            return fail("memory limit " + std::to_string(*limits.limit) +
                        " is below what is used: " + std::to_string(usage));
        }
    }
    Writer writer(directory);
    if (limits.swap && *limits.swap != 0) {
        const auto swap = swap_of(limits);
        if (!swap) {
            return std::unexpected(swap.error());
        }
        writer.write("memory.swap.max", *swap);
    }
    writer.write_if(limits.limit.has_value(), "memory.max", text_of(limits.limit.value_or(0)));
    writer.write_if(limits.reservation.has_value(), "memory.low", text_of(limits.reservation.value_or(0)));
    return writer.status();
}

Result<void> set_cpu(const std::string& directory, const CpuLimits& limits) {
    Writer writer(directory);
    writer.write_if(limits.idle.has_value(), "cpu.idle", std::to_string(limits.idle.value_or(0)));
    const bool weighted = limits.shares.value_or(0) != 0 && limits.idle.value_or(0) == 0;
    writer.write_if(weighted, "cpu.weight", std::to_string(weight_of_shares(limits.shares.value_or(2))));
    if (limits.quota || limits.period) {
        const auto quota = limits.quota.value_or(-1);
        const auto period = limits.period ? " " + std::to_string(*limits.period) : "";
        writer.write("cpu.max", (quota > 0 ? std::to_string(quota) : "max") + period);
    }
    writer.write_if(limits.burst.has_value(), "cpu.max.burst", std::to_string(limits.burst.value_or(0)));
    return writer.status();
}

Result<void> set_cpuset(const std::string& directory, const CpuLimits& limits) {
    Writer writer(directory);
    writer.write_if(!limits.cpus.empty(), "cpuset.cpus", limits.cpus);
    writer.write_if(!limits.mems.empty(), "cpuset.mems", limits.mems);
    return writer.status();
}

Result<void> set_pids(const std::string& directory, std::int64_t limit) {
    return write_cgroup_file(directory, "pids.max", limit > 0 ? std::to_string(limit) : "max");
}

Result<void> set_block_io(const std::string& directory, const BlockIoLimits& limits) {
    Writer writer(directory);
    const bool bfq = has_cgroup_file(directory, "io.bfq.weight");
    const std::string file = bfq ? "io.bfq.weight" : "io.weight";
    const auto scaled = [bfq](std::uint64_t weight) { return bfq ? weight : weight_of_block_io(weight); };
    if (limits.weight.value_or(0) >= 10) {
        writer.write(file, std::to_string(scaled(*limits.weight)));
    }
    for (const BlockWeight& device : limits.weight_devices) {
        writer.write_if(device.weight.value_or(0) >= 10, file,
                        device_name(device.major, device.minor) +
                            std::to_string(scaled(device.weight.value_or(10))));
    }
    const std::pair<const char*, const std::vector<BlockThrottle>*> throttles[] = {
        {"rbps=", &limits.read_bps},
        {"wbps=", &limits.write_bps},
        {"riops=", &limits.read_iops},
        {"wiops=", &limits.write_iops}};
    for (const auto& [key, list] : throttles) {
        for (const BlockThrottle& throttle : *list) {
            writer.write("io.max", device_name(throttle.major, throttle.minor) + key +
                                       (throttle.rate == 0 ? "max" : std::to_string(throttle.rate)));
        }
    }
    return writer.status();
}

Result<void> set_hugepages(const std::string& directory, const std::vector<HugepageLimit>& limits) {
    Writer writer(directory);
    for (const HugepageLimit& limit : limits) {
        writer.write("hugetlb." + limit.page_size + ".max", std::to_string(limit.limit));
        // Reservations count too where the kernel can limit them.
        const std::string reserved = "hugetlb." + limit.page_size + ".rsvd.max";
        writer.write_if(has_cgroup_file(directory, reserved), reserved, std::to_string(limit.limit));
    }
    return writer.status();
}

Result<void> set_rdma(const std::string& directory, const std::vector<RdmaLimit>& limits) {
    Writer writer(directory);
    for (const RdmaLimit& limit : limits) {
        std::string line = limit.device;
        line += limit.handles ? " hca_handle=" + std::to_string(*limit.handles) : "";
        line += limit.objects ? " hca_object=" + std::to_string(*limit.objects) : "";
        writer.write("rdma.max", line);
    }
    return writer.status();
}

Result<void> set_unified(const std::string& directory, const std::map<std::string, std::string>& files) {
    for (const auto& [name, text] : files) {
        for (const auto& line : split_lines(text)) {
            if (auto written = write_cgroup_file(directory, name, line); !written) {
                const bool absent = written.error().code == ENOENT;
                return absent ? fail("linux.resources.unified: this host's unified hierarchy has no " + name,
                                     "its controller may be in use by cgroup v1")
                              : written;
            }
        }
    }
    return {};
}

} // namespace strata::container::v2
