// A bundle's config.json: the Open Container Initiative's Runtime Specification, versions 1.0 to 1.3, for
// Linux. The names are the specification's; units too (bytes, microseconds) unless said. Optional members are
// those whose absence means "leave the kernel's value".
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace strata::container {

struct IdMapping {
    std::uint32_t container_id, host_id, size;

    bool operator==(const IdMapping&) const = default;
};

struct Mount {
    std::string destination, type, source;
    std::vector<std::string> options;
    std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Rlimit {
    int resource; // RLIMIT_NOFILE, ...
    std::string name;
    std::uint64_t soft, hard;
};

// Of users and groups. The system calls take the next for "as it is", which would be root.
inline constexpr std::uint32_t largest_id = UINT32_MAX - 1;

struct User {
    std::uint32_t uid = 0, gid = 0;
    std::optional<std::uint32_t> umask;
    std::vector<gid_t> additional_gids;
};

// Sets of capabilities, bit n for capability n.
struct Capabilities {
    std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

// sched_setattr(2)'s arguments.
struct Scheduler {
    std::uint32_t policy = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t flags = 0, runtime = 0, deadline = 0, period = 0;
};

struct IoPriority {
    int io_class = 0, priority = 0;
};

struct ConsoleSize {
    std::uint16_t height = 0, width = 0;
};

struct Process {
    bool terminal = false;
    std::optional<ConsoleSize> console_size;
    std::string cwd;
    std::vector<std::string> env, args;
    User user;
    std::optional<Capabilities> capabilities;
    std::vector<Rlimit> rlimits;
    bool no_new_privileges = false;
    std::optional<int> oom_score_adj;
    std::string apparmor_profile, selinux_label;
    std::optional<Scheduler> scheduler;
    std::optional<IoPriority> io_priority;
    std::string initial_affinity, final_affinity; // execCPUAffinity, as lists of CPUs ("0-3,7")
};

struct Hook {
    std::string path;
    std::vector<std::string> args, env;
    std::optional<int> timeout; // seconds
};

struct Hooks {
    std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
};

struct Namespace {
    int flag;         // CLONE_NEWNET, ...
    std::string name; // "network", ...
    std::string path; // of a namespace to join; empty for a new one
};

struct Device {
    std::string path;
    mode_t type = 0; // S_IFCHR, S_IFBLK or S_IFIFO
    std::uint32_t major = 0, minor = 0;
    mode_t mode = 0666;
    std::uint32_t uid = 0, gid = 0;
};

struct DeviceRule {
    bool allow = false;
    char type = 'a';                           // a, b or c
    std::optional<std::uint32_t> major, minor; // any when absent
    std::string access = "rwm";
};

struct MemoryLimits {
    std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;
    std::optional<std::uint64_t> swappiness;
    bool disable_oom_killer = false;
    bool use_hierarchy = false;
    bool check_before_update = false;
};

struct CpuLimits {
    std::optional<std::uint64_t> shares, period, realtime_period, burst;
    std::optional<std::int64_t> quota, realtime_runtime, idle;
    std::string cpus, mems;
};

struct BlockWeight {
    std::uint32_t major, minor;
    std::optional<std::uint16_t> weight, leaf_weight;
};

struct BlockThrottle {
    std::uint32_t major, minor;
    std::uint64_t rate;
};

struct BlockIoLimits {
    std::optional<std::uint16_t> weight, leaf_weight;
    std::vector<BlockWeight> weight_devices;
    std::vector<BlockThrottle> read_bps, write_bps, read_iops, write_iops;
};

struct HugepageLimit {
    std::string page_size; // "2MB"
    std::uint64_t limit;
};

struct NetworkPriority {
    std::string name;
    std::uint32_t priority;
};

struct RdmaLimit {
    std::string device;
    std::optional<std::uint32_t> handles, objects;
};

struct Resources {
    std::vector<DeviceRule> devices;
    MemoryLimits memory;
    CpuLimits cpu;
    std::optional<std::int64_t> pids_limit;
    BlockIoLimits block_io;
    std::vector<HugepageLimit> hugepages;
    std::optional<std::uint32_t> network_class;
    std::vector<NetworkPriority> network_priorities;
    std::vector<RdmaLimit> rdma;
    std::map<std::string, std::string> unified;
};

struct SyscallArgument {
    unsigned index;
    std::uint64_t value, value_two;
    int comparison; // libseccomp's scmp_compare
};

struct SyscallRule {
    std::vector<std::string> names;
    std::uint32_t action;
    std::optional<std::uint32_t> error_number;
    std::vector<SyscallArgument> args;
};

struct Seccomp {
    std::uint32_t default_action = 0;
    std::optional<std::uint32_t> default_error;
    std::vector<std::uint32_t> architectures; // libseccomp's tokens
    std::vector<std::string> flags;
    std::string listener_path, listener_metadata;
    std::vector<SyscallRule> rules;

    [[nodiscard]] bool notifies() const;
};

struct TimeOffset {
    std::string clock; // "monotonic" or "boottime"
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
};

struct NetDevice {
    std::string host_name, container_name;
};

struct MemoryPolicy {
    int mode = 0; // MPOL_BIND, ... with the MPOL_F_* flags
    std::string nodes;
};

struct IntelRdt {
    std::string clos_id, l3_cache_schema, memory_bandwidth_schema;
    std::vector<std::string> schemata;
    bool monitoring = false; // also what 1.0 to 1.2 call enableCMT and enableMBM
};

struct Config {
    std::string version;
    std::string root_path; // absolute; config.json's is relative to the bundle
    bool root_readonly = false;
    std::vector<Mount> mounts;
    std::optional<Process> process;
    std::string hostname, domainname;
    Hooks hooks;
    std::map<std::string, std::string> annotations;

    std::vector<Namespace> namespaces;
    std::vector<IdMapping> uid_mappings, gid_mappings;
    std::vector<TimeOffset> time_offsets;
    std::vector<Device> devices;
    std::vector<NetDevice> net_devices;
    std::string cgroups_path;
    Resources resources;
    std::optional<IntelRdt> intel_rdt;
    std::optional<MemoryPolicy> memory_policy;
    std::map<std::string, std::string> sysctl;
    std::optional<Seccomp> seccomp;
    unsigned long rootfs_propagation = 0; // MS_SHARED, ..., perhaps with MS_REC; 0 when not said
    std::vector<std::string> masked_paths, readonly_paths;
    std::string mount_label;
    std::optional<unsigned long> personality;

    // The entry for CLONE_NEWNET and the like, or null when the container shares its creator's.
    [[nodiscard]] const Namespace* find_namespace(int flag) const;
    // True for a namespace that is made for the container.
    [[nodiscard]] bool has_new(int flag) const;
};

// Reads `bundle`/config.json. Errors name the member: "config.json: process.args is missing".
[[nodiscard]] Result<Config> load_config(const std::string& bundle);

// The same from its text; relative paths are relative to `bundle`.
[[nodiscard]] Result<Config> parse_config(std::string_view text, const std::string& bundle);

// The document that `exec --process` takes.
[[nodiscard]] Result<Process> parse_process(std::string_view text, std::string_view name);

// The document that `update --resources` takes.
[[nodiscard]] Result<Resources> parse_resources(std::string_view text, std::string_view name);

} // namespace strata::container
