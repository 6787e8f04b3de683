// What an instance is to be: the options of its maker and the image's configuration, merged. It never changes
// while the instance lives but by `update` and `rename`.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::instance {

// One file system that is mounted in a container besides its root.
struct MountPoint {
    std::string type{};   // "bind", "volume" or "tmpfs"
    std::string source{}; // a path of the host, or a volume's name
    std::string target{}; // an absolute path in the container
    std::vector<std::string> options{};
    bool read_only = false;
};

// A port of the host that leads to one of the container.
struct Port {
    std::string host_address{};
    std::uint16_t host = 0; // 0: any that is free
    std::uint16_t container = 0;
    std::string protocol{"tcp"};
};

// 0 or empty: no limit.
struct Limits {
    std::int64_t memory = 0, memory_reservation = 0; // bytes
    std::int64_t memory_swap = 0;                    // memory and swap together; -1 without end
    double cpus = 0;
    std::uint64_t cpu_shares = 0;
    std::string cpuset_cpus{}, cpuset_mems{};
    std::int64_t pids = 0;
};

struct Ulimit {
    std::string name{}; // "RLIMIT_NOFILE"
    std::uint64_t soft = 0, hard = 0;
};

struct DeviceNode {
    std::string host{}, container{}, access{"rwm"};
};

// Times are nanoseconds. Without a test there is no check.
struct HealthCheck {
    std::vector<std::string> test{}; // "CMD" and a command's words, or "CMD-SHELL" and a line for the shell
    std::int64_t interval = 0, timeout = 0, start_period = 0, retries = 0;
};

struct Settings {
    std::string image{};               // as the user named it; empty with a root directory of one's own
    std::string image_id{};            // the digest of its configuration
    std::vector<std::string> layers{}; // directories, the lowest first
    std::string rootfs{};              // a directory instead of an image

    std::vector<std::string> entrypoint{}, command{}, environment{};
    std::string user{}, working_directory{"/"}, hostname{}, domainname{};
    std::map<std::string, std::string> labels{}, sysctls{};
    std::vector<std::string> groups{};
    bool terminal = false, interactive = false, auto_remove = false, read_only = false, init = false;
    bool privileged = false, no_new_privileges = false;

    std::vector<MountPoint> mounts{};
    std::uint64_t shm_size = 64U << 20;
    // "none", "host", "user", "container:ID", or the name of a network of networks.hpp
    std::string network{"bridge"};
    std::vector<std::string> network_aliases{}; // there
    std::string network_address{};              // that it wants there; "" for any
    std::vector<Port> ports{};
    std::vector<std::string> exposed_ports{}; // of the image and the user: "80/tcp"
    std::vector<std::string> dns{}, dns_search{}, hosts{};
    std::string pid_mode{}, ipc_mode{}, uts_mode{}; // "" for its own, or "host"

    std::vector<std::string> add_capabilities{}, drop_capabilities{};
    std::string seccomp{}; // "" for the default, "unconfined", or a profile's text
    std::vector<DeviceNode> devices{};
    std::vector<Ulimit> ulimits{};
    Limits limits{};
    std::int64_t oom_score_adjustment = 0;

    HealthCheck health{};
    std::string stop_signal{"SIGTERM"};
    std::int64_t stop_seconds = 10;
    std::string restart{"no"};  // "no", "always", "unless-stopped", "on-failure[:N]"
    std::uint64_t log_size = 0; // a log file larger than this is put aside; 0: never
    std::int64_t log_files = 1; // that are kept, the current one included
};

// As JSON text, and back.
[[nodiscard]] std::string to_text(const Settings& settings);
[[nodiscard]] Result<Settings> settings_from_text(const std::string& text);

} // namespace strata::instance
