#include "container/config/sections.hpp"

#include <algorithm>

namespace strata::container {
namespace {

std::optional<std::uint32_t> read_device_number(const JsonNode& node) {
    const auto number = node ? node.integer(-1, UINT32_MAX) : -1;
    return number < 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(number)); // -1 means any
}

DeviceRule read_device_rule(const JsonNode& node) {
    constexpr std::pair<std::string_view, char> types[] = {{"a", 'a'}, {"b", 'b'}, {"c", 'c'}, {"", 'a'}};
    DeviceRule rule{.allow = node.at("allow").boolean(),
                    .type = node.find("type") ? read_word(node.find("type"), types) : 'a',
                    .major = read_device_number(node.find("major")),
                    .minor = read_device_number(node.find("minor"))};
    if (const auto access = node.find("access"); access && !access.string().empty()) {
        rule.access = access.string();
        if (rule.access.find_first_not_of("rwm") != std::string::npos) {
            access.refuse("is '" + rule.access + "', not made of r, w and m");
        }
    }
    return rule;
}

MemoryLimits read_memory(const JsonNode& node) {
    return {.limit = read_integer(node.find("limit")),
            .reservation = read_integer(node.find("reservation")),
            .swap = read_integer(node.find("swap")),
            .kernel = read_integer(node.find("kernel")),
            .kernel_tcp = read_integer(node.find("kernelTCP")),
            .swappiness = read_number<std::uint64_t>(node.find("swappiness")),
            .disable_oom_killer = node.find("disableOOMKiller").boolean(),
            .use_hierarchy = node.find("useHierarchy").boolean(),
            .check_before_update = node.find("checkBeforeUpdate").boolean()};
}

CpuLimits read_cpu(const JsonNode& node) {
    return {.shares = read_number<std::uint64_t>(node.find("shares")),
            .period = read_number<std::uint64_t>(node.find("period")),
            .realtime_period = read_number<std::uint64_t>(node.find("realtimePeriod")),
            .burst = read_number<std::uint64_t>(node.find("burst")),
            .quota = read_integer(node.find("quota")),
            .realtime_runtime = read_integer(node.find("realtimeRuntime")),
            .idle = read_integer(node.find("idle")),
            .cpus = read_text(node.find("cpus")),
            .mems = read_text(node.find("mems"))};
}

std::vector<BlockThrottle> read_throttles(const JsonNode& list) {
    std::vector<BlockThrottle> throttles;
    for (const auto& node : list.items()) {
        throttles.push_back({.major = static_cast<std::uint32_t>(node.at("major").number(UINT32_MAX)),
                             .minor = static_cast<std::uint32_t>(node.at("minor").number(UINT32_MAX)),
                             .rate = node.at("rate").number(UINT64_MAX)});
    }
    return throttles;
}

BlockIoLimits read_block_io(const JsonNode& node) {
    BlockIoLimits limits{.weight = read_number<std::uint16_t>(node.find("weight")),
                         .leaf_weight = read_number<std::uint16_t>(node.find("leafWeight")),
                         .weight_devices = {},
                         .read_bps = read_throttles(node.find("throttleReadBpsDevice")),
                         .write_bps = read_throttles(node.find("throttleWriteBpsDevice")),
                         .read_iops = read_throttles(node.find("throttleReadIOPSDevice")),
                         .write_iops = read_throttles(node.find("throttleWriteIOPSDevice"))};
    for (const auto& item : node.find("weightDevice").items()) {
        limits.weight_devices.push_back(
            {.major = static_cast<std::uint32_t>(item.at("major").number(UINT32_MAX)),
             .minor = static_cast<std::uint32_t>(item.at("minor").number(UINT32_MAX)),
             .weight = read_number<std::uint16_t>(item.find("weight")),
             .leaf_weight = read_number<std::uint16_t>(item.find("leafWeight"))});
    }
    return limits;
}

void read_rdma(const JsonNode& node, Resources& resources) {
    for (const auto& device : node.keys()) {
        const auto limits = node.find(device);
        resources.rdma.push_back({.device = device,
                                  .handles = read_number<std::uint32_t>(limits.find("hcaHandles")),
                                  .objects = read_number<std::uint32_t>(limits.find("hcaObjects"))});
    }
}

// Names of files in the container's cgroup, nothing outside it.
void check_unified(const JsonNode& node) {
    for (const auto& key : node.keys()) {
        if (key.empty() || key.find('/') != std::string::npos || key.find('.') == std::string::npos) {
            node.find(key).refuse("is not named as a file of a cgroup (controller.file)");
        }
    }
}

} // namespace

Resources read_resources(const JsonNode& node) {
    Resources resources;
    for (const auto& rule : node.find("devices").items()) {
        resources.devices.push_back(read_device_rule(rule));
    }
    resources.memory = read_memory(node.find("memory"));
    resources.cpu = read_cpu(node.find("cpu"));
    resources.pids_limit = read_integer(node.find("pids").find("limit"));
    resources.block_io = read_block_io(node.find("blockIO"));
    for (const auto& item : node.find("hugepageLimits").items()) {
        const std::string size = read_text(item.at("pageSize"));
        if (item &&
            (size.empty() || !std::ranges::all_of(size, [](char c) { return std::isalnum(c) != 0; }))) {
            item.at("pageSize").refuse("is '" + size + "', not a size as in 2MB");
        }
        resources.hugepages.push_back({.page_size = size, .limit = item.at("limit").number(UINT64_MAX)});
    }
    const auto network = node.find("network");
    resources.network_class = read_number<std::uint32_t>(network.find("classID"));
    for (const auto& item : network.find("priorities").items()) {
        resources.network_priorities.push_back(
            {.name = read_text(item.at("name")),
             .priority = static_cast<std::uint32_t>(item.at("priority").number(UINT32_MAX))});
    }
    read_rdma(node.find("rdma"), resources);
    check_unified(node.find("unified"));
    resources.unified = node.find("unified").string_map();
    return resources;
}

} // namespace strata::container
