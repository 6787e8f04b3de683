#include "container/cgroups/files.hpp"
#include "container/rdt/group.hpp"
#include "container/rdt/schemata.hpp"

#include <nlohmann/json.hpp>

namespace strata::container {
namespace {

std::string first_line(const std::string& directory, const std::string& file) {
    const auto text = read_cgroup_file(directory, file).value_or("");
    return text.substr(0, text.find('\n'));
}

// The numbers among a resource's files in info.
void add_numbers(Json& to, const std::string& directory, std::initializer_list<const char*> files) {
    for (const char* file : files) {
        if (const auto value = read_cgroup_number(directory, file)) {
            to[file] = *value;
        }
    }
}

// What is counted in each domain of the L3 cache.
void add_counters(Json& to, const std::string& data) {
    Json bandwidth = Json::array(), occupancy = Json::array();
    for (const auto& domain : child_cgroups(data)) {
        const std::string at = data + "/" + domain;
        if (const auto total = read_cgroup_number(at, "mbm_total_bytes")) {
            bandwidth.push_back({{"mbm_total_bytes", *total},
                                 {"mbm_local_bytes", read_cgroup_number(at, "mbm_local_bytes").value_or(0)}});
        }
        if (const auto bytes = read_cgroup_number(at, "llc_occupancy")) {
            occupancy.push_back({{"llc_occupancy", *bytes}});
        }
    }
    if (!bandwidth.empty()) {
        to["mbm_stats"] = std::move(bandwidth);
    }
    if (!occupancy.empty()) {
        to["cmt_stats"] = std::move(occupancy);
    }
}

} // namespace

Json rdt_stats(const RdtGroup& group) {
    const std::string root = rdt_root(group);
    Json stats = Json::object();
    const auto schemata = read_cgroup_file(group.directory, "schemata").value_or("");
    const auto of_root = read_cgroup_file(root, "schemata").value_or("");
    if (has_cgroup_file(root, "info/L3")) {
        Json info{{"cbm_mask", first_line(root, "info/L3/cbm_mask")}};
        add_numbers(info, root + "/info/L3", {"min_cbm_bits", "num_closids"});
        stats["l3_cache_info"] = std::move(info);
        stats["l3_cache_schema_root"] = schema_line(of_root, "L3");
        stats["l3_cache_schema"] = schema_line(schemata, "L3");
    }
    if (has_cgroup_file(root, "info/MB")) {
        Json info = Json::object();
        add_numbers(info, root + "/info/MB",
                    {"bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"});
        stats["mem_bw_info"] = std::move(info);
        stats["mem_bw_schema_root"] = schema_line(of_root, "MB");
        stats["mem_bw_schema"] = schema_line(schemata, "MB");
    }
    add_counters(stats, (group.monitor.empty() ? group.directory : group.monitor) + "/mon_data");
    return stats;
}

} // namespace strata::container
