#include "cli/instance/describe.hpp"

#include "cli/time_values.hpp"
#include "instance/health.hpp"
#include "instance/network/networks.hpp"
#include "instance/network/user_mode.hpp"
#include "instance/volumes.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>

namespace strata::cli {
namespace {

using instance::Instance;
using instance::Instances;
using instance::Settings;
using instance::Status;
using nlohmann::json;

std::string all_but_prefix(const std::string& text, std::string_view prefix) {
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

// The program and its arguments, as they are run.
std::vector<std::string> command_line(const Settings& settings) {
    auto words = settings.entrypoint;
    words.insert(words.end(), settings.command.begin(), settings.command.end());
    return words;
}

json list_or_null(const std::vector<std::string>& list) { return list.empty() ? json() : json(list); }

json health_of(const instance::Health& health) {
    json log = json::array();
    for (const auto& checkup : health.log) {
        log.push_back({{"Start", precise_time_text(checkup.begin)},
                       {"End", precise_time_text(checkup.end)},
                       {"ExitCode", checkup.exit_code},
                       {"Output", checkup.output}});
    }
    return {{"Status", health.status}, {"FailingStreak", health.failures}, {"Log", log}};
}

json state_of(const Instances& instances, const Instance& instance) {
    const bool alive = instance.alive();
    json state{{"Status", instance::name_of(instance.status)},
               {"Running", alive},
               {"Paused", instance.status == Status::paused},
               {"Restarting", false},
               {"OOMKilled", false},
               {"Dead", false},
               {"Pid", alive ? instance.pid : 0},
               {"ExitCode", alive ? 0 : instance.exit_code},
               {"Error", instance.error},
               {"StartedAt", time_text(instance.started)},
               {"FinishedAt", time_text(alive ? 0 : instance.finished)}};
    if (const auto health = instance::read_health(instances.database(), instance.id)) {
        state["Health"] = health_of(*health);
    }
    return state;
}

// {"80/tcp": [{"HostIp": …, "HostPort": …}]}; ports that are only exposed have null.
json ports_of(const Settings& settings, bool exposed) {
    json ports = json::object();
    if (exposed) {
        for (const auto& port : settings.exposed_ports) {
            ports[port.find('/') == std::string::npos ? port + "/tcp" : port] = nullptr;
        }
    }
    for (const auto& port : settings.ports) {
        auto& bindings = ports[fmt::format("{}/{}", port.container, port.protocol)];
        bindings.push_back({{"HostIp", port.host_address.empty() ? "0.0.0.0" : port.host_address},
                            {"HostPort", port.host == 0 ? "" : std::to_string(port.host)}});
    }
    return ports;
}

json restart_policy(const std::string& policy) {
    const auto colon = policy.find(':');
    int most = 0;
    if (colon != std::string::npos) {
        std::from_chars(policy.data() + colon + 1, policy.data() + policy.size(), most);
    }
    return {{"Name", policy.substr(0, colon)}, {"MaximumRetryCount", most}};
}

json limits_of(const Settings& settings) {
    json ulimits = json::array();
    for (const auto& limit : settings.ulimits) {
        auto name = all_but_prefix(limit.name, "RLIMIT_");
        std::ranges::transform(name, name.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        ulimits.push_back({{"Name", name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
    }
    constexpr double billion = 1e9;
    const auto& limits = settings.limits;
    return {{"Memory", limits.memory},
            {"MemoryReservation", limits.memory_reservation},
            {"MemorySwap", limits.memory_swap},
            {"NanoCpus", static_cast<std::int64_t>(limits.cpus * billion)},
            {"CpuShares", limits.cpu_shares},
            {"CpusetCpus", limits.cpuset_cpus},
            {"CpusetMems", limits.cpuset_mems},
            {"PidsLimit", limits.pids != 0 ? json(limits.pids) : json()},
            {"OomScoreAdj", settings.oom_score_adjustment},
            {"Ulimits", ulimits}};
}

json host_config(const Settings& settings) {
    json binds = json::array(), devices = json::array(), log = json::object(), temporary = json::object();
    for (const auto& point : settings.mounts) {
        if (point.type == "tmpfs") {
            temporary[point.target] = fmt::format("{}", fmt::join(point.options, ","));
        } else {
            binds.push_back(point.source + ":" + point.target + (point.read_only ? ":ro" : ""));
        }
    }
    for (const auto& device : settings.devices) {
        devices.push_back({{"PathOnHost", device.host},
                           {"PathInContainer", device.container},
                           {"CgroupPermissions", device.access}});
    }
    if (settings.log_size > 0) {
        log["max-size"] = std::to_string(settings.log_size);
    }
    if (settings.log_files > 1) {
        log["max-file"] = std::to_string(settings.log_files);
    }
    std::vector<std::string> security;
    if (settings.no_new_privileges) {
        security.emplace_back("no-new-privileges");
    }
    if (!settings.seccomp.empty()) {
        security.push_back("seccomp=" + settings.seccomp);
    }
    json config{{"Binds", binds},
                {"NetworkMode", settings.network},
                {"PortBindings", ports_of(settings, false)},
                {"RestartPolicy", restart_policy(settings.restart)},
                {"AutoRemove", settings.auto_remove},
                {"CapAdd", list_or_null(settings.add_capabilities)},
                {"CapDrop", list_or_null(settings.drop_capabilities)},
                {"Dns", settings.dns},
                {"DnsSearch", settings.dns_search},
                {"ExtraHosts", settings.hosts},
                {"GroupAdd", list_or_null(settings.groups)},
                {"IpcMode", settings.ipc_mode.empty() ? "private" : settings.ipc_mode},
                {"PidMode", settings.pid_mode},
                {"UTSMode", settings.uts_mode},
                {"Privileged", settings.privileged},
                {"ReadonlyRootfs", settings.read_only},
                {"SecurityOpt", list_or_null(security)},
                {"ShmSize", settings.shm_size},
                {"Sysctls", settings.sysctls},
                {"Tmpfs", temporary},
                {"Devices", devices},
                {"Init", settings.init},
                {"LogConfig", {{"Type", "json-file"}, {"Config", log}}}};
    config.update(limits_of(settings));
    return config;
}

json config_of(const Settings& settings) {
    json exposed = json::object();
    const auto ports = ports_of(settings, true);
    for (const auto& port : ports.items()) {
        exposed[port.key()] = json::object();
    }
    json config{{"Hostname", settings.hostname},
                {"Domainname", settings.domainname},
                {"User", settings.user},
                {"Tty", settings.terminal},
                {"OpenStdin", settings.interactive},
                {"Env", settings.environment},
                {"Cmd", list_or_null(settings.command)},
                {"Entrypoint", list_or_null(settings.entrypoint)},
                {"Image", settings.image},
                {"WorkingDir", settings.working_directory},
                {"Labels", settings.labels},
                {"ExposedPorts", exposed},
                {"StopSignal", settings.stop_signal},
                {"StopTimeout", settings.stop_seconds}};
    if (const auto& check = settings.health; !check.test.empty()) {
        config["Healthcheck"] = {{"Test", check.test},
                                 {"Interval", check.interval},
                                 {"Timeout", check.timeout},
                                 {"StartPeriod", check.start_period},
                                 {"Retries", check.retries}};
    }
    return config;
}

json mounts_of(const Instances& instances, const Settings& settings) {
    json mounts = json::array();
    for (const auto& point : settings.mounts) {
        json mount{{"Type", point.type},          {"Source", point.source},
                   {"Destination", point.target}, {"Mode", fmt::format("{}", fmt::join(point.options, ","))},
                   {"RW", !point.read_only},      {"Propagation", point.type == "tmpfs" ? "" : "rprivate"}};
        if (point.type == "volume") {
            const auto volume = find_volume(instances, point.source);
            mount["Name"] = point.source;
            mount["Driver"] = "local";
            mount["Source"] = volume ? volume->path : "";
        }
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

json endpoint_of(const instance::Endpoint& endpoint, const instance::Network& network,
                 const Instance& instance) {
    const bool is_up = instance.alive() && endpoint.address != 0;
    auto names = endpoint.aliases;
    if (!network.is_default()) {
        names.push_back(instance.short_id());
    }
    json result{{"NetworkID", network.id},
                {"Aliases", endpoint.aliases},
                {"DNSNames", names},
                {"IPAddress", is_up ? instance::text_of(endpoint.address) : ""},
                {"IPPrefixLen", is_up ? network.subnet.prefix : 0},
                {"Gateway", is_up ? instance::text_of(network.gateway) : ""},
                {"GlobalIPv6Address", ""}};
    if (is_up && network.subnet6) {
        result["GlobalIPv6Address"] = instance::text_of(address_in(network.subnet6, endpoint.address));
    }
    return result;
}

json network_of(const Instances& instances, const Instance& instance) {
    json first{{"IPAddress", ""}, {"IPPrefixLen", 0}, {"Gateway", ""}};
    json networks = json::object();
    if (instance.alive() && instance.settings.network == "user") {
        first = {{"IPAddress", instance.address},
                 {"IPPrefixLen", instance::user_prefix},
                 {"Gateway", instance::user_gateway}};
    }
    const auto endpoints = instance::endpoints_of(instances, instance);
    for (const auto& endpoint : endpoints.value_or(std::vector<instance::Endpoint>{})) {
        if (const auto network = instance::find_network(instances, endpoint.network)) {
            networks[network->name] = endpoint_of(endpoint, *network, instance);
            if (network->name == instance.settings.network) {
                first = networks[network->name];
            }
        }
    }
    if (networks.empty()) {
        networks[instance.settings.network] = first;
    }
    json settings{{"IPAddress", first["IPAddress"]},
                  {"IPPrefixLen", first["IPPrefixLen"]},
                  {"Gateway", first["Gateway"]},
                  {"Ports", instance.alive() ? ports_of(instance.settings, true) : json::object()}};
    settings["Networks"] = std::move(networks);
    return settings;
}

json root_of(const Instances& instances, const Instance& instance) {
    const auto& settings = instance.settings;
    if (!settings.rootfs.empty()) {
        return {{"Name", "directory"}, {"Data", {{"Directory", settings.rootfs}}}};
    }
    const std::vector<std::string> highest_first(settings.layers.rbegin(), settings.layers.rend());
    return {{"Name", "overlay2"},
            {"Data",
             {{"LowerDir", fmt::format("{}", fmt::join(highest_first, ":"))},
              {"UpperDir", instances.path(instance, "upper")},
              {"WorkDir", instances.path(instance, "work")},
              {"MergedDir", instances.path(instance, "root")}}}};
}

} // namespace

std::string time_text(std::int64_t seconds) {
    if (seconds == 0) {
        return "0001-01-01T00:00:00Z";
    }
    const std::time_t time = seconds;
    tm parts{};
    gmtime_r(&time, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%FT%TZ", &parts);
    return text;
}

json describe_container(const Instances& instances, const Instance& instance) {
    const auto& settings = instance.settings;
    const auto words = command_line(settings);
    return {{"Id", instance.id},
            {"Created", time_text(instance.created)},
            {"Path", words.empty() ? "" : words.front()},
            {"Args", words.empty() ? words : std::vector<std::string>(words.begin() + 1, words.end())},
            {"State", state_of(instances, instance)},
            {"Image", settings.image_id},
            {"Name", "/" + instance.name},
            {"RestartCount", instance.restarts},
            {"Driver", "overlay2"},
            {"Platform", "linux"},
            {"LogPath", instances.path(instance, "log.json")},
            {"HostsPath", instances.path(instance, "hosts")},
            {"HostnamePath", instances.path(instance, "hostname")},
            {"ResolvConfPath", instances.path(instance, "resolv.conf")},
            {"HostConfig", host_config(settings)},
            {"GraphDriver", root_of(instances, instance)},
            {"Mounts", mounts_of(instances, settings)},
            {"Config", config_of(settings)},
            {"NetworkSettings", network_of(instances, instance)}};
}

} // namespace strata::cli
