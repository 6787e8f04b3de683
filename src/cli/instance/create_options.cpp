#include "cli/instance/create_options.hpp"

#include "base/error.hpp"
#include "cli/parse.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

namespace strata::cli {
namespace {

using instance::MountPoint;
using instance::Port;
using instance::Settings;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts{""};
    for (const char c : text) {
        if (c == separator) {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

std::pair<std::string, std::string> key_and_value(const std::string& text) {
    const auto equals = text.find('=');
    return equals == std::string::npos ? std::pair(text, std::string{})
                                       : std::pair(text.substr(0, equals), text.substr(equals + 1));
}

Result<std::int64_t> size_of(const std::string& text) {
    if (text.empty()) {
        return 0;
    }
    if (text == "-1") {
        return -1;
    }
    auto plain = text;
    std::ranges::transform(plain, plain.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (plain.size() > 1 && plain.ends_with('B')) {
        plain.pop_back();
    }
    const auto size = parse_size(plain);
    if (!size) {
        return std::unexpected(size.error());
    }
    return static_cast<std::int64_t>(*size);
}

Result<std::uint16_t> port_number(const std::string& text, const std::string& whole) {
    std::uint16_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc{} || end != text.data() + text.size() || number == 0) {
        return fail(fmt::format("port '{}' is not a number from 1 to 65535, in '{}'", text, whole),
                    "a port is published as [ADDRESS:][HOST:]CONTAINER[/udp], for example 8080:80");
    }
    return number;
}

Result<void> check_target(const std::string& target, const std::string& whole) {
    if (!target.starts_with('/')) {
        return fail(fmt::format("'{}': '{}' is not an absolute path in the container", whole, target));
    }
    return {};
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
        instance::Ulimit limit{.name = "RLIMIT_" + name};
        std::ranges::transform(limit.name, limit.name.begin(),
                               [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
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
    settings.network = options.network.empty() || options.network == "default" ? "bridge" : options.network;
    const bool known = settings.network == "none" || settings.network == "host" ||
                       settings.network == "bridge" || settings.network.starts_with("container:");
    if (!known) {
        return fail(fmt::format("there is no network '{}'", settings.network),
                    "use bridge, none, host or container:NAME");
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

void add_options(
    CLI::App& command,
    std::initializer_list<std::tuple<const char*, std::vector<std::string>*, const char*, const char*>>
        rows) {
    for (const auto& [names, target, purpose, type] : rows) {
        command.add_option(names, *target, purpose)->type_name(type)->allow_extra_args(false);
    }
}

void add_options(
    CLI::App& command,
    std::initializer_list<std::tuple<const char*, std::string*, const char*, const char*>> rows) {
    for (const auto& [names, target, purpose, type] : rows) {
        command.add_option(names, *target, purpose)->type_name(type);
    }
}

} // namespace

Result<Port> parse_port(const std::string& text) {
    Port port;
    auto rest = text;
    if (const auto slash = rest.find('/'); slash != std::string::npos) {
        port.protocol = rest.substr(slash + 1);
        rest = rest.substr(0, slash);
    }
    if (port.protocol != "tcp" && port.protocol != "udp") {
        return fail(fmt::format("protocol '{}' in '{}' is not tcp or udp", port.protocol, text));
    }
    const auto colon = rest.rfind(':');
    const auto inner = port_number(rest.substr(colon == std::string::npos ? 0 : colon + 1), text);
    if (!inner) {
        return std::unexpected(inner.error());
    }
    port.container = *inner;
    if (colon == std::string::npos) {
        return port;
    }
    rest = rest.substr(0, colon);
    const auto before = rest.rfind(':');
    const auto host = before == std::string::npos ? rest : rest.substr(before + 1);
    port.host_address = before == std::string::npos ? "" : rest.substr(0, before);
    if (!host.empty()) {
        const auto outer = port_number(host, text);
        if (!outer) {
            return std::unexpected(outer.error());
        }
        port.host = *outer;
    }
    return port;
}

Result<MountPoint> parse_volume(const std::string& text) {
    const auto parts = split(text, ':');
    if (parts.size() > 3) {
        return fail(fmt::format("volume '{}' has too many parts", text), "write SOURCE:TARGET[:ro]");
    }
    MountPoint point{.type = "volume", .target = parts.size() == 1 ? parts[0] : parts[1]};
    if (parts.size() > 1) {
        point.source = parts[0];
        const bool is_path =
            point.source.starts_with('/') || point.source.starts_with('.') || point.source.starts_with('~');
        if (is_path) {
            point.type = "bind";
            point.source = std::filesystem::absolute(point.source).lexically_normal().string();
        }
    }
    for (const auto& option : parts.size() > 2 ? split(parts[2], ',') : std::vector<std::string>{}) {
        if (option == "ro") {
            point.read_only = true;
        } else if (option != "rw" && option != "z" && option != "Z" && option != "") {
            point.options.push_back(option);
        }
    }
    if (auto good = check_target(point.target, text); !good) {
        return std::unexpected(good.error());
    }
    return point;
}

Result<MountPoint> parse_mount(const std::string& text) {
    MountPoint point{.type = "volume"};
    for (const auto& part : split(text, ',')) {
        const auto [key, value] = key_and_value(part);
        if (key == "type") {
            point.type = value;
        } else if (key == "source" || key == "src") {
            point.source = value;
        } else if (key == "target" || key == "destination" || key == "dst") {
            point.target = value;
        } else if (key == "readonly" || key == "ro") {
            point.read_only = value.empty() || value == "true" || value == "1";
        } else if (key == "tmpfs-size") {
            const auto size = size_of(value);
            if (!size) {
                return std::unexpected(size.error());
            }
            point.options.push_back(fmt::format("size={}", *size));
        } else if (key == "tmpfs-mode") {
            point.options.push_back("mode=" + value);
        } else if (key == "bind-propagation") {
            point.options.push_back(value);
        } else {
            return fail(fmt::format("--mount {}: '{}' is not known", text, key),
                        "use type=bind|volume|tmpfs, source=, target=, readonly, tmpfs-size=, tmpfs-mode=");
        }
    }
    if (point.type != "bind" && point.type != "volume" && point.type != "tmpfs") {
        return fail(fmt::format("--mount {}: type '{}' is not bind, volume or tmpfs", text, point.type));
    }
    if (point.type == "bind" && !point.source.starts_with('/')) {
        return fail(fmt::format("--mount {}: source is not an absolute path", text));
    }
    if (auto good = check_target(point.target, text); !good) {
        return std::unexpected(good.error());
    }
    return point;
}

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
    for (const auto& text : options.labels) {
        const auto [key, value] = key_and_value(text);
        settings.labels[key] = value;
    }
    for (const auto& text : options.sysctls) {
        const auto [key, value] = key_and_value(text);
        settings.sysctls[key] = value;
    }
    for (const auto& done : {add_environment(options, settings), add_mounts(options, image, settings),
                             add_limits(options, settings), add_security(options, settings),
                             add_network(options, image, settings), add_log_options(options, settings)}) {
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

void define_create(CLI::App& command, CreateOptions& o) {
    command.add_flag("-i,--interactive", o.interactive, "Keep standard input open");
    command.add_flag("-t,--tty", o.terminal, "Give it a terminal");
    command.add_flag("--rm", o.remove, "Remove the container when it ends");
    command.add_flag("--init", o.init, "Its first process passes signals on and reaps what others leave");
    command.add_flag("--read-only", o.read_only, "Its root cannot be written");
    command.add_flag("--privileged", o.privileged, "All capabilities, all devices, no seccomp filter");
    command.add_option("--entrypoint", o.entrypoint, "The program, in the place of the image's")
        ->type_name("PROGRAM");
    command.add_option("--pids-limit", o.pids, "Most processes")->type_name("N");
    command.add_option("-c,--cpu-shares", o.cpu_shares, "Weight against others (1024 is usual)")
        ->type_name("N");
    command.add_option("--stop-timeout", o.stop_seconds, "Seconds from the stop signal to SIGKILL")
        ->type_name("N");
    command.add_option("--oom-score-adj", o.oom_score, "How soon the kernel kills it for memory")
        ->type_name("N");
    add_options(
        command,
        {{"--name", &o.name, "Name", "NAME"},
         {"--rootfs", &o.rootfs, "Run in this directory instead of an image", "DIR"},
         {"--platform", &o.platform, "For which machines the image is", "OS/ARCHITECTURE"},
         {"--pull", &o.pull, "When to pull the image", "missing|always|never"},
         {"-u,--user", &o.user, "Who runs the program", "USER[:GROUP]"},
         {"-w,--workdir", &o.working_directory, "Where it runs", "DIR"},
         {"--hostname", &o.hostname, "Host name", "NAME"},
         {"--domainname", &o.domainname, "NIS domain name", "NAME"},
         {"--net,--network", &o.network, "Network (a machine: user, none)",
          "user|bridge|none|host|container:NAME"},
         {"-m,--memory", &o.memory, "Memory (a machine without it: 512M)", "SIZE"},
         {"--memory-swap", &o.memory_swap, "Memory and swap together; -1 without end", "SIZE"},
         {"--memory-reservation", &o.memory_reservation, "Memory to be kept for it", "SIZE"},
         {"--cpus", &o.cpus, "Processors; for a container also 0.5", "N"},
         {"--cpuset-cpus", &o.cpuset, "On these processors", "LIST"},
         {"--cpuset-mems", &o.cpuset_mems, "On these memory nodes", "LIST"},
         {"--shm-size", &o.shm_size, "Size of /dev/shm (64M)", "SIZE"},
         {"--stop-signal", &o.stop_signal, "Signal that stops it", "SIGNAL"},
         {"--restart", &o.restart, "When to start it again", "no|always|unless-stopped|on-failure[:N]"},
         {"--pid", &o.pid, "Processes of the host", "host"},
         {"--ipc", &o.ipc, "System V IPC of the host", "host"},
         {"--uts", &o.uts, "Host name of the host", "host"},
         {"--cidfile", &o.cid_file, "Write the ID here", "FILE"}});
    add_options(
        command,
        {{"-e,--env", &o.environment, "Set a variable; may be repeated", "NAME[=VALUE]"},
         {"--env-file", &o.environment_files, "Set the variables in a file", "FILE"},
         {"-l,--label", &o.labels, "Label", "KEY[=VALUE]"},
         {"-v,--volume", &o.volumes, "Mount a directory, or a volume by its name", "SOURCE:TARGET[:ro]"},
         {"--mount", &o.mounts, "The same at length", "type=TYPE,source=SOURCE,target=TARGET"},
         {"--tmpfs", &o.tmpfs, "Mount a file system in memory", "TARGET[:OPTIONS]"},
         {"-p,--publish", &o.publish, "Lead a port of the host to it", "[ADDRESS:][HOST:]PORT[/udp]"},
         {"--expose", &o.expose, "A port that it serves", "PORT[/udp]"},
         {"--dns", &o.dns, "Name server", "ADDRESS"},
         {"--dns-search", &o.dns_search, "Domain for short names", "DOMAIN"},
         {"--add-host", &o.hosts, "A line of its /etc/hosts", "NAME:ADDRESS"},
         {"--cap-add", &o.add_capabilities, "Give a capability, or ALL", "NAME"},
         {"--cap-drop", &o.drop_capabilities, "Take a capability, or ALL", "NAME"},
         {"--security-opt", &o.security, "no-new-privileges, seccomp=unconfined, seccomp=FILE", "TEXT"},
         {"--device", &o.devices, "Give a device of the host", "PATH[:PATH[:rwm]]"},
         {"--ulimit", &o.ulimits, "Resource limit", "NAME=SOFT[:HARD]"},
         {"--sysctl", &o.sysctls, "Kernel parameter of its namespaces", "NAME=VALUE"},
         {"--group-add", &o.groups, "Further group", "GROUP"},
         {"--log-opt", &o.log_options, "max-size=SIZE, max-file=N", "TEXT"}});
}

} // namespace strata::cli
