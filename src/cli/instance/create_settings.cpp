// What a container is, from the options of `run` and `create` and what its image says of itself.
#include "cli/instance/create_options.hpp"

#include "cli/instance/option_values.hpp"
#include "cli/time_values.hpp"
#include "image/privileges.hpp"
#include "instance/network/networks.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <map>
#include <tuple>

namespace strata::cli {
namespace {

using instance::MountPoint;
using instance::Settings;

void add_pairs(const std::vector<std::string>& texts, std::map<std::string, std::string>& to) {
    for (const auto& text : texts) {
        const auto [key, value] = key_and_value(text);
        to[key] = value;
    }
}

Result<void> add_environment(const CreateOptions& options, Settings& settings) {
    const auto add = [&](const std::string& entry) {
        const auto [name, value] = key_and_value(entry);
        std::erase_if(settings.environment, [&](const auto& old) { return old.starts_with(name + "="); });
        if (entry.find('=') != std::string::npos) {
            settings.environment.push_back(entry);
        } else if (const char* own = std::getenv(name.c_str())) { // a name alone: the value it has here
            settings.environment.push_back(name + "=" + own);
        }
    };
    for (const auto& path : options.environment_files) {
        std::ifstream file(path);
        if (!file) {
            return fail_errno("read environment file", path);
        }
        for (std::string line; std::getline(file, line);) {
            if (!line.empty() && !line.starts_with('#')) {
                add(line);
            }
        }
    }
    for (const auto& entry : options.environment) {
        add(entry);
    }
    return {};
}

Result<void> add_mounts(const CreateOptions& options, const image::RunConfig& image, Settings& settings) {
    const auto add = [&](Result<MountPoint> point) -> Result<void> {
        if (!point) {
            return std::unexpected(point.error());
        }
        settings.mounts.push_back(std::move(*point));
        return {};
    };
    for (const auto& text : options.volumes) {
        if (auto added = add(parse_volume(text)); !added) {
            return added;
        }
    }
    for (const auto& text : options.mounts) {
        if (auto added = add(parse_mount(text)); !added) {
            return added;
        }
    }
    for (const auto& text : options.tmpfs) {
        const auto colon = text.find(':');
        MountPoint point{.type = "tmpfs", .target = text.substr(0, colon)};
        if (colon != std::string::npos) {
            point.options = split(text.substr(colon + 1), ',');
        }
        if (auto good = check_target(point.target, text); !good) {
            return good;
        }
        settings.mounts.push_back(std::move(point));
    }
    for (const auto& path : image.volumes) {
        const bool covered =
            std::ranges::any_of(settings.mounts, [&](const auto& point) { return point.target == path; });
        if (!covered) {
            settings.mounts.push_back({.type = "volume", .target = path}); // one without a name
        }
    }
    return {};
}

Result<void> add_limits(const CreateOptions& options, Settings& settings) {
    auto& limits = settings.limits;
    for (const auto& [text, target] :
         {std::pair(&options.memory, &limits.memory), std::pair(&options.memory_swap, &limits.memory_swap),
          std::pair(&options.memory_reservation, &limits.memory_reservation)}) {
        const auto size = size_of(*text);
        if (!size) {
            return std::unexpected(size.error());
        }
        *target = *size;
    }
    const auto shm = size_of(options.shm_size.empty() ? "64M" : options.shm_size);
    if (!shm) {
        return std::unexpected(shm.error());
    }
    settings.shm_size = static_cast<std::uint64_t>(*shm);
    if (!options.cpus.empty()) {
        char* end = nullptr;
        limits.cpus = std::strtod(options.cpus.c_str(), &end);
        if (*end != '\0' || limits.cpus <= 0) {
            return fail(fmt::format("--cpus {}: not a positive number", options.cpus),
                        "for example --cpus 1.5");
        }
    }
    limits.cpu_shares = options.cpu_shares;
    limits.cpuset_cpus = options.cpuset;
    limits.cpuset_mems = options.cpuset_mems;
    limits.pids = options.pids;
    for (const auto& text : options.ulimits) {
        const auto [name, value] = key_and_value(text);
        const auto parts = split(value, ':');
        instance::Ulimit limit{.name = "RLIMIT_" + upper_case(name)};
        const auto number = [](const std::string& part) {
            return part == "-1" || part == "unlimited" ? UINT64_MAX
                                                       : std::strtoull(part.c_str(), nullptr, 10);
        };
        if (value.empty() || value.find_first_not_of("0123456789:-unlimted") != std::string::npos) {
            return fail(fmt::format("--ulimit {}: not NAME=SOFT[:HARD]", text),
                        "for example --ulimit nofile=1024:2048");
        }
        limit.soft = number(parts.front());
        limit.hard = number(parts.back());
        settings.ulimits.push_back(std::move(limit));
    }
    return {};
}

Result<void> add_security(const CreateOptions& options, Settings& settings) {
    settings.add_capabilities = options.add_capabilities;
    settings.drop_capabilities = options.drop_capabilities;
    settings.privileged = options.privileged;
    for (const auto& text : options.security) {
        auto [key, value] = key_and_value(text);
        if (value.empty() && key.find(':') != std::string::npos) { // the older way of writing it
            value = key.substr(key.find(':') + 1);
            key = key.substr(0, key.find(':'));
        }
        if (key == "no-new-privileges") {
            settings.no_new_privileges = value != "false";
        } else if (key == "seccomp" && value == "unconfined") {
            settings.seccomp = value;
        } else if (key == "seccomp") {
            std::ifstream file(value);
            settings.seccomp.assign(std::istreambuf_iterator<char>(file), {});
            if (settings.seccomp.empty()) {
                return fail(fmt::format("seccomp profile {} cannot be read", value));
            }
        } else if (key != "apparmor" &&
                   key != "label") { // without AppArmor and SELinux there is nothing to say to them
            return fail(fmt::format("--security-opt {} is not known", text),
                        "use no-new-privileges, seccomp=unconfined or seccomp=FILE");
        }
    }
    for (const auto& text : options.devices) {
        const auto parts = split(text, ':');
        instance::DeviceNode device{.host = parts[0], .container = parts[0]};
        if (parts.size() > 1) {
            (parts[1].starts_with('/') ? device.container : device.access) = parts[1];
        }
        if (parts.size() > 2) {
            device.access = parts[2];
        }
        settings.devices.push_back(std::move(device));
    }
    return {};
}

Result<void> add_network(const CreateOptions& options, const image::RunConfig& image, Settings& settings) {
    settings.network = options.network;
    if (settings.network.empty() || settings.network == "default") {
        settings.network = image::in_user_namespace() ? "user" : "bridge";
    }
    settings.network_aliases = options.network_aliases;
    settings.network_address = options.address;
    if (!instance::is_bridged(settings.network) &&
        !(options.network_aliases.empty() && options.address.empty())) {
        return fail("--network-alias and --ip are for networks of one's own",
                    "make one (strata network create NAME) and use it: --network NAME");
    }
    for (const auto& text : options.publish) {
        auto port = parse_port(text);
        if (!port) {
            return std::unexpected(port.error());
        }
        settings.ports.push_back(std::move(*port));
    }
    settings.exposed_ports = image.exposed_ports;
    settings.exposed_ports.insert(settings.exposed_ports.end(), options.expose.begin(), options.expose.end());
    settings.dns = options.dns;
    settings.dns_search = options.dns_search;
    settings.hosts = options.hosts;
    return {};
}

Result<void> add_health(const CreateOptions& options, const image::HealthCheck& image, Settings& settings) {
    constexpr std::int64_t usual = 30'000'000'000, usual_retries = 3, shortest = 1'000'000;
    auto& check = settings.health;
    const bool asked = options.health_command || options.health_retries > 0 ||
                       !options.health_interval.empty() || !options.health_timeout.empty() ||
                       !options.health_start_period.empty();
    if (options.no_health_check) {
        return asked ? fail("--no-healthcheck contradicts the other options about health") : Result<void>{};
    }
    check.test =
        options.health_command ? std::vector<std::string>{"CMD-SHELL", *options.health_command} : image.test;
    const bool has_form = check.test.size() > 1 && (check.test[0] == "CMD" || check.test[0] == "CMD-SHELL");
    if (!has_form || check.test[1].empty()) { // "NONE", or nothing
        check = {};
        return {};
    }
    check.interval = image.interval > 0 ? image.interval : usual;
    check.timeout = image.timeout > 0 ? image.timeout : usual;
    check.start_period = image.start_period;
    check.retries = image.retries > 0 ? image.retries : usual_retries;
    if (options.health_retries > 0) {
        check.retries = options.health_retries;
    }
    const std::tuple<const std::string*, const char*, std::int64_t*, std::int64_t> times[] = {
        {&options.health_interval, "--health-interval", &check.interval, shortest},
        {&options.health_timeout, "--health-timeout", &check.timeout, shortest},
        {&options.health_start_period, "--health-start-period", &check.start_period, 0}};
    for (const auto& [text, option, target, least] : times) {
        if (text->empty()) {
            continue;
        }
        const auto time = parse_duration(*text, option);
        if (!time || *time < least) {
            return time ? fail(fmt::format("{} {}: shorter than 1ms", option, *text))
                        : Result<void>(std::unexpected(time.error()));
        }
        *target = *time;
    }
    return {};
}

Result<void> add_log_options(const CreateOptions& options, Settings& settings) {
    for (const auto& text : options.log_options) {
        const auto [key, value] = key_and_value(text);
        if (key == "max-size") {
            const auto size = size_of(value);
            if (!size) {
                return std::unexpected(size.error());
            }
            settings.log_size = static_cast<std::uint64_t>(*size);
        } else if (key == "max-file") {
            settings.log_files = std::max(1L, std::strtol(value.c_str(), nullptr, 10));
        } else {
            return fail(fmt::format("--log-opt {} is not known", text), "use max-size=SIZE and max-file=N");
        }
    }
    return {};
}

void merge_image(const CreateOptions& options, const image::RunConfig& image, Settings& settings) {
    std::vector<std::string> command;
    const bool has_image = options.rootfs.empty();
    for (std::size_t i = has_image ? 1 : 0; i < options.rest.size(); ++i) {
        command.push_back(options.rest[i]);
    }
    if (options.entrypoint) {
        settings.entrypoint =
            options.entrypoint->empty() ? std::vector<std::string>{} : std::vector{*options.entrypoint};
        settings.command = command;
    } else {
        settings.entrypoint = image.entrypoint;
        settings.command = command.empty() ? image.command : command;
    }
    settings.environment = image.environment;
    settings.labels = image.labels;
    settings.user = options.user.empty() ? image.user : options.user;
    settings.working_directory = !options.working_directory.empty() ? options.working_directory
                                 : image.working_directory.empty()  ? "/"
                                                                    : image.working_directory;
    settings.stop_signal = !options.stop_signal.empty() ? options.stop_signal
                           : image.stop_signal.empty()  ? "SIGTERM"
                                                        : image.stop_signal;
}

} // namespace

Result<Settings> to_settings(const CreateOptions& options, const image::RunConfig& image) {
    Settings settings;
    merge_image(options, image, settings);
    settings.rootfs =
        options.rootfs.empty() ? "" : std::filesystem::absolute(options.rootfs).lexically_normal().string();
    settings.hostname = options.hostname;
    settings.domainname = options.domainname;
    settings.groups = options.groups;
    settings.terminal = options.terminal;
    settings.interactive = options.interactive;
    settings.auto_remove = options.remove;
    settings.read_only = options.read_only;
    settings.init = options.init;
    settings.pid_mode = options.pid;
    settings.ipc_mode = options.ipc;
    settings.uts_mode = options.uts;
    settings.stop_seconds = options.stop_seconds;
    settings.oom_score_adjustment = options.oom_score;
    settings.restart = options.restart;
    add_pairs(options.labels, settings.labels);
    add_pairs(options.sysctls, settings.sysctls);
    for (const auto& done : {add_environment(options, settings), add_mounts(options, image, settings),
                             add_limits(options, settings), add_security(options, settings),
                             add_network(options, image, settings), add_log_options(options, settings),
                             add_health(options, image.health, settings)}) {
        if (!done) {
            return std::unexpected(done.error());
        }
    }
    if (settings.entrypoint.empty() && settings.command.empty()) {
        return fail("there is no program to run: the image names none",
                    "write it behind the image: strata run IMAGE sh");
    }
    if (settings.auto_remove && settings.restart != "no") {
        return fail("--rm and --restart contradict each other");
    }
    return settings;
}

} // namespace strata::cli
