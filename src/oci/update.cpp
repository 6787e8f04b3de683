
#include "container/kernel/procfs.hpp"
#include "oci/command.hpp"

#include <fcntl.h>

namespace strata::oci {
namespace {

struct UpdateFlags {
    std::string resources, cpuset_cpus, cpuset_mems;
    std::optional<std::int64_t> memory, reservation, swap, pids, shares, period, quota, burst, idle,
        rt_period, rt_runtime, weight, kernel, kernel_tcp;
    std::string l3, bandwidth;

    void declare(Arguments& arguments) {
        arguments.text("--resources,-r", resources,
                       "a file with the limits, as linux.resources in config.json; - is standard input");
        arguments.number("--memory", memory, "memory limit in bytes");
        arguments.number("--memory-reservation", reservation, "memory that is not taken lightly, in bytes");
        arguments.number("--memory-swap", swap, "memory and swap, in bytes; -1 for no limit");
        arguments.number("--kernel-memory", kernel, "passed over, as the kernel does");
        arguments.number("--kernel-memory-tcp", kernel_tcp, "memory of TCP buffers, in bytes");
        arguments.number("--pids-limit", pids, "number of processes");
        arguments.number("--cpu-share", shares, "CPU shares");
        arguments.number("--cpu-period", period, "CPU period in microseconds");
        arguments.number("--cpu-quota", quota, "CPU time in a period, in microseconds");
        arguments.number("--cpu-burst", burst, "CPU time that may be saved up, in microseconds");
        arguments.number("--cpu-idle", idle, "1 to run only when nobody else wants to");
        arguments.number("--cpu-rt-period", rt_period, "real-time period in microseconds");
        arguments.number("--cpu-rt-runtime", rt_runtime, "real-time CPU time in a period, in microseconds");
        arguments.text("--cpuset-cpus", cpuset_cpus, "CPUs, as in 0-3,7");
        arguments.text("--cpuset-mems", cpuset_mems, "memory nodes");
        arguments.number("--blkio-weight", weight, "weight of the block I/O, 10 to 1000");
        arguments.text("--l3-cache-schema", l3, "Intel RDT: share of the L3 cache, as in L3:0=ff;1=f");
        arguments.text("--mem-bw-schema", bandwidth, "Intel RDT: memory bandwidth, as in MB:0=50;1=20");
    }

    [[nodiscard]] std::optional<container::IntelRdt> rdt() const {
        if (l3.empty() && bandwidth.empty()) {
            return std::nullopt;
        }
        container::IntelRdt schemas;
        schemas.l3_cache_schema = l3;
        schemas.memory_bandwidth_schema = bandwidth;
        return schemas;
    }

    void apply(container::Resources& target) const {
        const auto set = [](auto& place, const std::optional<std::int64_t>& value) {
            if (value) {
                place = static_cast<typename std::remove_reference_t<decltype(place)>::value_type>(*value);
            }
        };
        set(target.memory.limit, memory);
        set(target.memory.reservation, reservation);
        set(target.memory.swap, swap);
        set(target.memory.kernel_tcp, kernel_tcp);
        set(target.pids_limit, pids);
        set(target.cpu.shares, shares);
        set(target.cpu.period, period);
        set(target.cpu.quota, quota);
        set(target.cpu.burst, burst);
        set(target.cpu.idle, idle);
        set(target.cpu.realtime_period, rt_period);
        set(target.cpu.realtime_runtime, rt_runtime);
        set(target.block_io.weight, weight);
        target.cpu.cpus = cpuset_cpus.empty() ? target.cpu.cpus : cpuset_cpus;
        target.cpu.mems = cpuset_mems.empty() ? target.cpu.mems : cpuset_mems;
    }
};

Result<container::Resources> load(const std::string& path) {
    if (path == "-") {
        const auto text = container::read_descriptor(0, "standard input");
        return text ? container::parse_resources(*text, "resources from standard input")
                    : std::unexpected(text.error());
    }
    // It may be a pipe of the shell's, too.
    const auto text = container::read_text_at(AT_FDCWD, path);
    return text ? container::parse_resources(*text, "resources " + path) : std::unexpected(text.error());
}

} // namespace

Result<int> update(container::Runtime& runtime, Words words) {
    Arguments arguments("update [OPTION...] ID", "Changes the limits of a container.");
    UpdateFlags flags;
    flags.declare(arguments);
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    auto resources = flags.resources.empty() ? Result<container::Resources>(container::Resources{})
                                             : load(flags.resources);
    if (!resources) {
        return std::unexpected(resources.error());
    }
    flags.apply(*resources);
    return status_of(runtime.update(rest->front(), *resources, flags.rdt()));
}

} // namespace strata::oci
