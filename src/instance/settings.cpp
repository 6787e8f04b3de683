#include "instance/settings.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::instance {

// The macros write functions that nlohmann-json finds by their arguments' types.
#define STRATA_JSON NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT
STRATA_JSON(MountPoint, type, source, target, options, read_only)
STRATA_JSON(Port, host_address, host, container, protocol)
STRATA_JSON(Limits, memory, memory_reservation, memory_swap, cpus, cpu_shares, cpuset_cpus, cpuset_mems, pids)
STRATA_JSON(Ulimit, name, soft, hard)
STRATA_JSON(DeviceNode, host, container, access)
STRATA_JSON(HealthCheck, test, interval, timeout, start_period, retries)
STRATA_JSON(Settings, image, image_id, layers, rootfs, entrypoint, command, environment, user,
            working_directory, hostname, domainname, labels, sysctls, groups, terminal, interactive,
            auto_remove, read_only, init, privileged, no_new_privileges, mounts, shm_size, network,
            network_aliases, network_address, ports, exposed_ports, dns, dns_search, hosts, pid_mode,
            ipc_mode, uts_mode, add_capabilities, drop_capabilities, seccomp, devices, ulimits, limits,
            oom_score_adjustment, health, stop_signal, stop_seconds, restart, log_size, log_files)
#undef STRATA_JSON

std::string to_text(const Settings& settings) {
    return nlohmann::json(settings).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<Settings> settings_from_text(const std::string& text) {
    try {
        return nlohmann::json::parse(text).get<Settings>();
    } catch (const nlohmann::json::exception& error) {
        return fail(fmt::format("the settings of a container are damaged: {}", error.what()),
                    "remove it (strata rm -f) and make it again");
    }
}

} // namespace strata::instance
