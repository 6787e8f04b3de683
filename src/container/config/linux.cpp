#include "container/config/sections.hpp"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

constexpr std::pair<std::string_view, int> namespace_types[] = {
    {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},      {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS}, {"user", CLONE_NEWUSER},   {"cgroup", CLONE_NEWCGROUP}, {"time", 0x80},
};

constexpr std::pair<std::string_view, mode_t> device_types[] = {
    {"c", S_IFCHR}, {"u", S_IFCHR}, {"b", S_IFBLK}, {"p", S_IFIFO}};

constexpr std::pair<std::string_view, unsigned long> propagations[] = {
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

constexpr std::pair<std::string_view, int> memory_modes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT},  {"MPOL_BIND", MPOL_BIND},           {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
    {"MPOL_WEIGHTED_INTERLEAVE", 6}, {"MPOL_PREFERRED", MPOL_PREFERRED}, {"MPOL_PREFERRED_MANY", 5},
    {"MPOL_LOCAL", MPOL_LOCAL},
};

constexpr std::pair<std::string_view, int> memory_flags[] = {
    {"MPOL_F_NUMA_BALANCING", 1 << 13},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
};

constexpr std::pair<std::string_view, unsigned long> domains[] = {{"LINUX", PER_LINUX},
                                                                  {"LINUX32", PER_LINUX32}};

void read_namespaces(const JsonNode& list, Config& config) {
    for (const auto& node : list.items()) {
        Namespace entry{.flag = read_word(node.at("type"), namespace_types),
                        .name = node.at("type").string(),
                        .path = read_text(node.find("path"))};
        if (!entry.path.empty() && entry.path.front() != '/') {
            node.at("path").refuse("is '" + entry.path + "', not an absolute path");
        }
        if (entry.flag != 0 && config.find_namespace(entry.flag) != nullptr) {
            node.at("type").refuse("is there twice");
        }
        config.namespaces.push_back(std::move(entry));
    }
}

Device read_device(const JsonNode& node) {
    Device device{.path = read_absolute_path(node.at("path")),
                  .type = read_word(node.at("type"), device_types)};
    if (device.type != S_IFIFO) {
        device.major = static_cast<std::uint32_t>(node.at("major").number(UINT32_MAX));
        device.minor = static_cast<std::uint32_t>(node.at("minor").number(UINT32_MAX));
    }
    device.mode = read_number<std::uint32_t>(node.find("fileMode")).value_or(0666) & 07777;
    device.uid = read_number<std::uint32_t>(node.find("uid")).value_or(0);
    device.gid = read_number<std::uint32_t>(node.find("gid")).value_or(0);
    return device;
}

void read_time_offsets(const JsonNode& node, Config& config) {
    for (const auto& clock : node.keys()) {
        const auto offset = node.find(clock);
        if (clock != "monotonic" && clock != "boottime") {
            offset.refuse("is no clock with an offset; the clocks are monotonic and boottime");
        }
        config.time_offsets.push_back(
            {.clock = clock,
             .seconds = offset.find("secs").integer(),
             .nanoseconds = static_cast<std::uint32_t>(offset.find("nanosecs").number(999'999'999))});
    }
}

void read_net_devices(const JsonNode& node, Config& config) {
    constexpr std::size_t longest = 15; // IFNAMSIZ without its NUL
    for (const auto& host_name : node.keys()) {
        const auto device = node.find(host_name);
        std::string name = read_text(device.find("name"));
        name = name.empty() ? host_name : name;
        if (name.size() > longest || host_name.empty() || host_name.size() > longest ||
            name.find('/') != std::string::npos) {
            device.refuse("is not named as a network device can be (at most 15 characters, no slash)");
        }
        config.net_devices.push_back({host_name, std::move(name)});
    }
}

MemoryPolicy read_memory_policy(const JsonNode& node) {
    MemoryPolicy policy{.mode = read_word(node.at("mode"), memory_modes),
                        .nodes = read_text(node.find("nodes"))};
    for (const auto& flag : node.find("flags").items()) {
        policy.mode |= read_word(flag, memory_flags);
    }
    return policy;
}

IntelRdt read_intel_rdt(const JsonNode& node) {
    return {.clos_id = read_text(node.find("closID")),
            .l3_cache_schema = read_text(node.find("l3CacheSchema")),
            .memory_bandwidth_schema = read_text(node.find("memBwSchema")),
            .schemata = node.find("schemata").strings(),
            .monitoring = node.find("enableMonitoring").boolean() || node.find("enableCMT").boolean() ||
                          node.find("enableMBM").boolean()};
}

unsigned long read_personality(const JsonNode& node) {
    if (!node.find("flags").items().empty()) {
        node.find("flags").refuse("has flags, and the specification defines none");
    }
    return read_word(node.at("domain"), domains);
}

} // namespace

void read_linux(const JsonNode& node, Config& config) {
    read_namespaces(node.find("namespaces"), config);
    config.uid_mappings = read_id_mappings(node.find("uidMappings"));
    config.gid_mappings = read_id_mappings(node.find("gidMappings"));
    read_time_offsets(node.find("timeOffsets"), config);
    for (const auto& device : node.find("devices").items()) {
        config.devices.push_back(read_device(device));
    }
    read_net_devices(node.find("netDevices"), config);
    config.cgroups_path = read_text(node.find("cgroupsPath"));
    config.resources = read_resources(node.find("resources"));
    if (const auto rdt = node.find("intelRdt")) {
        config.intel_rdt = read_intel_rdt(rdt);
    }
    if (const auto policy = node.find("memoryPolicy")) {
        config.memory_policy = read_memory_policy(policy);
    }
    config.sysctl = node.find("sysctl").string_map();
    if (const auto seccomp = node.find("seccomp")) {
        config.seccomp = read_seccomp(seccomp);
    }
    if (const auto propagation = node.find("rootfsPropagation");
        propagation && !propagation.string().empty()) {
        config.rootfs_propagation = read_word(propagation, propagations);
    }
    config.masked_paths = node.find("maskedPaths").strings();
    config.readonly_paths = node.find("readonlyPaths").strings();
    config.mount_label = read_text(node.find("mountLabel"));
    if (const auto personality = node.find("personality")) {
        config.personality = read_personality(personality);
    }
}

} // namespace strata::container
