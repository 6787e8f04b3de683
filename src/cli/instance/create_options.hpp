// The options of `run` and `create` that say what a container is; Docker's, with its defaults.
#pragma once

#include "cli/command.hpp"
#include "image/config.hpp"
#include "instance/settings.hpp"

#include <optional>
#include <string>
#include <vector>

namespace strata::cli {

struct CreateOptions {
    std::string name, rootfs, platform, pull{"missing"};
    std::optional<std::string> entrypoint;
    std::vector<std::string> environment, environment_files, labels, volumes, mounts, tmpfs, publish, expose,
        dns, dns_search, hosts, add_capabilities, drop_capabilities, security, devices, ulimits, sysctls,
        groups, log_options, network_aliases;
    std::string user, working_directory, hostname, domainname, network, memory, memory_swap,
        memory_reservation, cpus, cpuset, cpuset_mems, shm_size, stop_signal, restart{"no"}, pid, ipc, uts,
        cid_file, address, health_interval, health_timeout, health_start_period;
    std::optional<std::string> health_command;
    std::int64_t health_retries = 0;
    std::int64_t pids = 0, stop_seconds = 10, oom_score = 0;
    std::uint64_t cpu_shares = 0;
    bool terminal = false, interactive = false, detach = false, remove = false, read_only = false,
         init = false, privileged = false, no_health_check = false;
    std::vector<std::string> rest; // IMAGE and its command
};

void define_create(CLI::App& command, CreateOptions& options);

// The options merged with the image's configuration; without an image (--rootfs) of an empty one.
[[nodiscard]] Result<instance::Settings> to_settings(const CreateOptions& options,
                                                     const image::RunConfig& image);

} // namespace strata::cli
