// What `events --stats` prints, in the form that containerd and others read.
#include "container/cgroups/cgroup.hpp"
#include "container/cgroups/files.hpp"
#include "container/runtime.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

namespace strata::container {
namespace {

Json number(const std::optional<std::uint64_t>& value) { return value.value_or(0); }

Json file_number(const std::string& directory, const std::string& name) {
    return number(read_cgroup_number(directory, name));
}

// All "key value" lines of a file.
Json key_values(const std::string& directory, const std::string& name) {
    Json values = Json::object();
    const auto text = read_cgroup_file(directory, name);
    for (const auto& line : split_lines(text.value_or(""))) {
        const auto space = line.find(' ');
        std::uint64_t value = 0;
        if (space != std::string::npos) {
            std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
            values[line.substr(0, space)] = value;
        }
    }
    return values;
}

Json memory_use(const std::string& at, const std::string& kind) {
    return {{"limit", file_number(at, kind + ".limit_in_bytes")},
            {"usage", file_number(at, kind + ".usage_in_bytes")},
            {"max", file_number(at, kind + ".max_usage_in_bytes")},
            {"failcnt", file_number(at, kind + ".failcnt")}};
}

Json memory_stats(const Cgroup& cgroup) {
    const auto place = cgroup.find("memory");
    if (!place) {
        return Json::object();
    }
    const std::string& at = place->directory;
    if (!place->unified) {
        Json raw = key_values(at, "memory.stat");
        const Json cache = raw.value("cache", Json(0));
        return {{"usage", memory_use(at, "memory")},
                {"swap", memory_use(at, "memory.memsw")},
                {"kernel", memory_use(at, "memory.kmem")},
                {"kernelTCP", memory_use(at, "memory.kmem.tcp")},
                {"cache", cache},
                {"raw", std::move(raw)}};
    }
    Json raw = key_values(at, "memory.stat");
    const Json cache = raw.value("file", Json(0));
    return {{"usage",
             {{"limit", read_cgroup_number(at, "memory.max").value_or(UINT64_MAX)},
              {"usage", file_number(at, "memory.current")},
              {"max", file_number(at, "memory.peak")},
              {"failcnt", key_values(at, "memory.events").value("max", Json(0))}}},
            {"swap",
             {{"limit", read_cgroup_number(at, "memory.swap.max").value_or(UINT64_MAX)},
              {"usage", file_number(at, "memory.swap.current")},
              {"failcnt", 0}}},
            {"cache", cache},
            {"raw", std::move(raw)}};
}

Json per_cpu(const std::string& at) {
    Json list = Json::array();
    const std::string text = read_cgroup_file(at, "cpuacct.usage_percpu").value_or("");
    for (const char *from = text.data(), *end = from + text.size(); from < end;) {
        std::uint64_t value = 0;
        const auto parsed = std::from_chars(from, end, value);
        if (parsed.ec == std::errc{}) {
            list.push_back(value);
        }
        from = parsed.ptr + 1;
    }
    return list;
}

Json throttling(const std::string& at, const std::string& time_key, std::uint64_t to_nanoseconds) {
    const Json stat = key_values(at, "cpu.stat");
    return {{"periods", stat.value("nr_periods", Json(0))},
            {"throttledPeriods", stat.value("nr_throttled", Json(0))},
            {"throttledTime", stat.value(time_key, std::uint64_t{0}) * to_nanoseconds}};
}

Json cpu_stats(const Cgroup& cgroup) {
    constexpr std::uint64_t tick = 10'000'000, microsecond = 1000; // in nanoseconds
    const auto accounting = cgroup.find("cpuacct");
    const auto cpu = cgroup.find("cpu");
    if (accounting && !accounting->unified) {
        const Json ticks = key_values(accounting->directory, "cpuacct.stat");
        return {{"usage",
                 {{"total", file_number(accounting->directory, "cpuacct.usage")},
                  {"percpu", per_cpu(accounting->directory)},
                  {"kernel", ticks.value("system", std::uint64_t{0}) * tick},
                  {"user", ticks.value("user", std::uint64_t{0}) * tick}}},
                {"throttling", cpu ? throttling(cpu->directory, "throttled_time", 1) : Json::object()}};
    }
    if (!cpu) {
        return Json::object();
    }
    const Json stat = key_values(cpu->directory, "cpu.stat");
    return {{"usage",
             {{"total", stat.value("usage_usec", std::uint64_t{0}) * microsecond},
              {"kernel", stat.value("system_usec", std::uint64_t{0}) * microsecond},
              {"user", stat.value("user_usec", std::uint64_t{0}) * microsecond}}},
            {"throttling", throttling(cpu->directory, "throttled_usec", microsecond)}};
}

Json pids_stats(const Cgroup& cgroup) {
    const auto place = cgroup.find("pids");
    return place ? Json{{"current", file_number(place->directory, "pids.current")},
                        {"limit", file_number(place->directory, "pids.max")}}
                 : Json::object();
}

// "8:0 Read 4096" lines of version 1.
Json block_entries(const std::string& at, const std::string& name) {
    Json list = Json::array();
    const auto text = read_cgroup_file(at, name);
    for (const auto& line : split_lines(text.value_or(""))) {
        unsigned major = 0, minor = 0;
        char operation[32]{};
        unsigned long long value = 0;
        if (std::sscanf(line.c_str(), "%u:%u %31s %llu", &major, &minor, operation, &value) == 4) {
            list.push_back({{"major", major}, {"minor", minor}, {"op", operation}, {"value", value}});
        }
    }
    return list;
}

// "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0" lines of version 2; `read` and `written` are keys.
Json unified_block_entries(const std::string& io_stat, std::string_view read, std::string_view written) {
    Json list = Json::array();
    for (const auto& line : split_lines(io_stat)) {
        unsigned major = 0, minor = 0;
        if (std::sscanf(line.c_str(), "%u:%u", &major, &minor) != 2) {
            continue;
        }
        for (const auto& [key, operation] : {std::pair{read, "Read"}, std::pair{written, "Write"}}) {
            const auto at = line.find(" " + std::string(key) + "=");
            if (at != std::string::npos) {
                std::uint64_t value = 0;
                std::from_chars(line.data() + at + key.size() + 2, line.data() + line.size(), value);
                list.push_back({{"major", major}, {"minor", minor}, {"op", operation}, {"value", value}});
            }
        }
    }
    return list;
}

Json block_stats(const Cgroup& cgroup) {
    if (const auto place = cgroup.find("blkio")) {
        return {
            {"ioServiceBytesRecursive", block_entries(place->directory, "blkio.throttle.io_service_bytes")},
            {"ioServicedRecursive", block_entries(place->directory, "blkio.throttle.io_serviced")}};
    }
    const auto place = cgroup.find("io");
    if (!place) {
        return Json::object();
    }
    const std::string text = read_cgroup_file(place->directory, "io.stat").value_or("");
    return {{"ioServiceBytesRecursive", unified_block_entries(text, "rbytes", "wbytes")},
            {"ioServicedRecursive", unified_block_entries(text, "rios", "wios")}};
}

// A limit file for each page size tells which sizes there are.
Json hugepage_stats(const Cgroup& cgroup) {
    Json sizes = Json::object();
    const auto place = cgroup.find("hugetlb");
    const std::string limit = place && place->unified ? ".max" : ".limit_in_bytes";
    for (const auto& file : place ? cgroup_files(place->directory) : std::vector<std::string>{}) {
        const auto size = file.starts_with("hugetlb.") ? file.substr(8, file.find('.', 8) - 8) : "";
        if (size.empty() || file != "hugetlb." + size + limit) {
            continue;
        }
        const std::string& at = place->directory;
        const std::string prefix = "hugetlb." + size;
        sizes[size] = place->unified
                          ? Json{{"usage", file_number(at, prefix + ".current")},
                                 {"failcnt", key_values(at, prefix + ".events").value("max", Json(0))}}
                          : Json{{"usage", file_number(at, prefix + ".usage_in_bytes")},
                                 {"max", file_number(at, prefix + ".max_usage_in_bytes")},
                                 {"failcnt", file_number(at, prefix + ".failcnt")}};
    }
    return sizes;
}

} // namespace

Result<Json> Runtime::stats(const std::string& id) const {
    const auto container = find_live(id, "read the statistics of");
    if (!container) {
        return std::unexpected(container.error());
    }
    const Cgroup cgroup(container->state.cgroup_paths);
    return Json{{"cpu", cpu_stats(cgroup)},
                {"cpuset", Json::object()},
                {"memory", memory_stats(cgroup)},
                {"pids", pids_stats(cgroup)},
                {"blkio", block_stats(cgroup)},
                {"hugetlb", hugepage_stats(cgroup)},
                {"intel_rdt", container->state.rdt ? rdt_stats(*container->state.rdt) : Json::object()},
                {"network_interfaces", nullptr}};
}

Result<std::uint64_t> Runtime::oom_kills(const std::string& id) const {
    const auto container = find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    const auto place = Cgroup(container->state.cgroup_paths).find("memory");
    const auto text =
        place ? read_cgroup_file(place->directory, place->unified ? "memory.events" : "memory.oom_control")
              : Result<std::string>("");
    return find_cgroup_value(text.value_or(""), "oom_kill").value_or(0);
}

} // namespace strata::container
