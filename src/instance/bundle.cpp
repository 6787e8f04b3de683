#include "instance/bundle.hpp"

#include "base/beside.hpp"
#include "image/privileges.hpp"
#include "instance/capabilities.hpp"
#include "instance/seccomp_profile.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <thread>
#include <unistd.h>

namespace strata::instance {
namespace {

constexpr std::uint64_t cpu_period = 100'000; // microseconds
constexpr auto init_path = "/dev/init";       // where no image has anything
constexpr auto default_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Json mount(const char* destination, const char* type, const char* source,
           const std::vector<std::string>& options) {
    return {{"destination", destination}, {"type", type}, {"source", source}, {"options", options}};
}

Json device_rule(const char* type, std::int64_t major, std::int64_t minor, const char* access) {
    Json rule{{"allow", true}, {"type", type}, {"access", access}};
    if (major >= 0) {
        rule["major"] = major;
    }
    if (minor >= 0) {
        rule["minor"] = minor;
    }
    return rule;
}

// What of /proc and /sys tells about the host or changes it.
Json masked_paths() {
    Json paths{"/proc/acpi",
               "/proc/asound",
               "/proc/interrupts",
               "/proc/kcore",
               "/proc/keys",
               "/proc/latency_stats",
               "/proc/sched_debug",
               "/proc/scsi",
               "/proc/timer_list",
               "/proc/timer_stats",
               "/sys/devices/virtual/powercap",
               "/sys/firmware"};
    for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) {
        paths.push_back(fmt::format("/sys/devices/system/cpu/cpu{}/thermal_throttle", cpu));
    }
    return paths;
}

Json limits_of(const Limits& limits) {
    Json result = Json::object(), memory = Json::object(), cpu = Json::object();
    if (limits.memory > 0) {
        memory["limit"] = limits.memory;
        memory["swap"] = limits.memory_swap != 0 ? limits.memory_swap : 2 * limits.memory;
    }
    if (limits.memory_reservation > 0) {
        memory["reservation"] = limits.memory_reservation;
    }
    if (limits.cpus > 0) {
        cpu["period"] = cpu_period;
        cpu["quota"] = static_cast<std::int64_t>(limits.cpus * static_cast<double>(cpu_period));
    }
    if (limits.cpu_shares > 0) {
        cpu["shares"] = limits.cpu_shares;
    }
    if (!limits.cpuset_cpus.empty()) {
        cpu["cpus"] = limits.cpuset_cpus;
    }
    if (!limits.cpuset_mems.empty()) {
        cpu["mems"] = limits.cpuset_mems;
    }
    for (auto& [name, object] : {std::pair("memory", &memory), std::pair("cpu", &cpu)}) {
        if (!object->empty()) {
            result[name] = *object;
        }
    }
    if (limits.pids != 0) {
        result["pids"] = {{"limit", limits.pids}};
    }
    return result;
}

class Builder {
public:
    Builder(const Instance& instance, const Surroundings& surroundings)
        : settings_(instance.settings), id_(instance.id), surroundings_(surroundings) {}

    Result<std::string> build() {
        auto capabilities = capabilities_of(settings_);
        if (!capabilities) {
            return std::unexpected(capabilities.error());
        }
        if (auto added = add_devices(); !added) {
            return std::unexpected(added.error());
        }
        if (auto added = add_seccomp(*capabilities); !added) {
            return std::unexpected(added.error());
        }
        if (settings_.init && access(init_program_.c_str(), X_OK) != 0) {
            return fail_errno("find", init_program_, errno,
                              "strata-init belongs in the directory of strata; or leave --init out");
        }
        Json config{{"ociVersion", "1.0.2"},
                    {"root", {{"path", surroundings_.root}, {"readonly", settings_.read_only}}},
                    {"process", process(*capabilities)},
                    {"hostname", settings_.uts_mode == "host" ? "" : settings_.hostname},
                    {"mounts", mounts()}};
        if (!settings_.domainname.empty()) {
            config["domainname"] = settings_.domainname;
        }
        linux_["namespaces"] = namespaces();
        // Who is not the host's root may at best make groups below its own.
        linux_["cgroupsPath"] = (image::in_user_namespace() ? "strata-" : "/strata/") + id_;
        linux_["resources"] = resources();
        if (!settings_.sysctls.empty()) {
            linux_["sysctl"] = settings_.sysctls;
        }
        if (!settings_.privileged) {
            linux_["maskedPaths"] = masked_paths();
            linux_["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                       "/proc/sysrq-trigger"};
        }
        config["linux"] = std::move(linux_);
        return config.dump(-1, ' ', false, Json::error_handler_t::replace);
    }

    static Result<std::vector<std::string>> capabilities_of(const Settings& settings) {
        return settings.privileged
                   ? all_capabilities()
                   : effective_capabilities(settings.add_capabilities, settings.drop_capabilities);
    }

    static Json process_of(const Settings& settings, const std::vector<std::string>& capabilities,
                           const User& user) {
        Json process{{"user", {{"uid", user.uid}, {"gid", user.gid}, {"additionalGids", user.groups}}},
                     {"capabilities",
                      {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}},
                     {"noNewPrivileges", settings.no_new_privileges}};
        Json limits = Json::array();
        for (const auto& limit : settings.ulimits) {
            limits.push_back({{"type", limit.name}, {"soft", limit.soft}, {"hard", limit.hard}});
        }
        if (!limits.empty()) {
            process["rlimits"] = std::move(limits);
        }
        if (settings.oom_score_adjustment != 0) {
            process["oomScoreAdj"] = settings.oom_score_adjustment;
        }
        return process;
    }

private:
    Json process(const std::vector<std::string>& capabilities) const {
        auto process = process_of(settings_, capabilities, surroundings_.user);
        std::vector<std::string> arguments;
        if (settings_.init) {
            arguments = {init_path, "--"};
        }
        arguments.insert(arguments.end(), settings_.entrypoint.begin(), settings_.entrypoint.end());
        arguments.insert(arguments.end(), settings_.command.begin(), settings_.command.end());
        process["args"] = arguments;
        process["cwd"] = settings_.working_directory.empty() ? "/" : settings_.working_directory;
        process["terminal"] = settings_.terminal;
        process["env"] = environment();
        return process;
    }

    std::vector<std::string> environment() const {
        std::vector<std::string> all;
        const auto has = [&](const char* name) {
            return std::ranges::any_of(settings_.environment, [&](const auto& entry) {
                return entry.starts_with(std::string(name) + "=");
            });
        };
        if (!has("PATH")) {
            all.emplace_back(default_path);
        }
        if (!settings_.hostname.empty() && !has("HOSTNAME")) {
            all.push_back("HOSTNAME=" + settings_.hostname);
        }
        if (settings_.terminal && !has("TERM")) {
            all.emplace_back("TERM=xterm");
        }
        if (!has("HOME")) {
            all.push_back("HOME=" + surroundings_.user.home);
        }
        for (const auto& entry : settings_.environment) {
            set_variable(all, entry);
        }
        return all;
    }

    Json mounts() const {
        const char* system = settings_.privileged ? "rw" : "ro";
        std::vector<std::string> terminals{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
        if (image::is_privileged()) { // a namespace of one ID has no group for them
            terminals.emplace_back("gid=5");
        }
        Json list{mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
                  mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
                  mount("/dev/pts", "devpts", "devpts", terminals),
                  mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", system}),
                  mount("/sys/fs/cgroup", "cgroup", "cgroup", {system, "nosuid", "noexec", "nodev"}),
                  mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"})};
        if (settings_.ipc_mode == "host") {
            list.push_back(mount("/dev/shm", "bind", "/dev/shm", {"rbind"}));
        } else {
            list.push_back(mount(
                "/dev/shm", "tmpfs", "shm",
                {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", settings_.shm_size)}));
        }
        for (const auto& [source, target] : surroundings_.files) {
            list.push_back(mount(target.c_str(), "bind", source.c_str(), {"rbind", "rprivate"}));
        }
        if (settings_.init) {
            list.push_back(
                mount(init_path, "bind", init_program_.c_str(), {"bind", "rprivate", "ro", "nodev"}));
        }
        auto volume = surroundings_.volumes.begin();
        for (const auto& point : settings_.mounts) {
            auto options = point.options;
            options.emplace_back(point.read_only ? "ro" : "rw");
            if (point.type == "tmpfs") {
                for (const char* option : {"nosuid", "nodev", "noexec"}) {
                    options.emplace_back(option);
                }
                list.push_back(mount(point.target.c_str(), "tmpfs", "tmpfs", options));
                continue;
            }
            const auto source = point.type == "volume" ? *volume++ : point.source;
            options.emplace_back("rbind");
            options.emplace_back("rprivate");
            list.push_back(mount(point.target.c_str(), "bind", source.c_str(), options));
        }
        return list;
    }

    Json namespaces() const {
        Json list{{{"type", "mount"}}, {{"type", "cgroup"}}};
        for (const auto& [type, mode] :
             {std::pair("pid", settings_.pid_mode), std::pair("ipc", settings_.ipc_mode),
              std::pair("uts", settings_.uts_mode)}) {
            if (mode != "host") {
                list.push_back({{"type", type}});
            }
        }
        if (!surroundings_.network_namespace.empty()) {
            list.push_back({{"type", "network"}, {"path", surroundings_.network_namespace}});
        } else if (settings_.network != "host") {
            list.push_back({{"type", "network"}});
        }
        return list;
    }

    Json resources() const {
        auto result = limits_of(settings_.limits);
        result["devices"] = device_rules();
        return result;
    }

    Json device_rules() const {
        if (settings_.privileged) {
            return {{{"allow", true}, {"access", "rwm"}}};
        }
        Json rules{{{"allow", false}, {"access", "rwm"}},
                   device_rule("c", -1, -1, "m"),
                   device_rule("b", -1, -1, "m"),
                   device_rule("c", 136, -1, "rwm"),
                   device_rule("c", 5, 2, "rwm")};
        for (const auto& [major, minor] : {std::pair(1, 3), {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}}) {
            rules.push_back(device_rule("c", major, minor, "rwm"));
        }
        for (const auto& rule : extra_rules_) {
            rules.push_back(rule);
        }
        return rules;
    }

    Result<void> add_devices() {
        Json devices = Json::array();
        for (const auto& device : settings_.devices) {
            struct stat status{};
            if (stat(device.host.c_str(), &status) != 0) {
                return fail_errno("look at device", device.host);
            }
            if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)) {
                return fail(fmt::format("{} is not a device", device.host));
            }
            const char* type = S_ISCHR(status.st_mode) ? "c" : "b";
            devices.push_back({{"path", device.container},
                               {"type", type},
                               {"major", major(status.st_rdev)},
                               {"minor", minor(status.st_rdev)},
                               {"fileMode", status.st_mode & 0777},
                               {"uid", status.st_uid},
                               {"gid", status.st_gid}});
            extra_rules_.push_back(
                device_rule(type, major(status.st_rdev), minor(status.st_rdev), device.access.c_str()));
        }
        if (!devices.empty()) {
            linux_["devices"] = std::move(devices);
        }
        return {};
    }

    Result<void> add_seccomp(const std::vector<std::string>& capabilities) {
        if (settings_.privileged || settings_.seccomp == "unconfined") {
            return {};
        }
        if (settings_.seccomp.empty()) {
            linux_["seccomp"] = default_seccomp_profile(capabilities);
            return {};
        }
        auto profile = Json::parse(settings_.seccomp, nullptr, false);
        if (!profile.is_object()) {
            return fail("the seccomp profile is not a JSON object");
        }
        linux_["seccomp"] = std::move(profile);
        return {};
    }

    const Settings& settings_;
    const std::string& id_;
    const Surroundings& surroundings_;
    const std::string init_program_ = path_beside("strata-init");
    Json linux_ = Json::object();
    std::vector<Json> extra_rules_{};
};

} // namespace

void set_variable(std::vector<std::string>& environment, const std::string& entry) {
    const auto key = entry.substr(0, entry.find('=')) + "=";
    std::erase_if(environment, [&](const auto& old) { return old.starts_with(key); });
    environment.push_back(entry);
}

std::string resources_text(const Instance& instance) { return limits_of(instance.settings.limits).dump(); }

Result<std::string> bundle_config(const Instance& instance, const Surroundings& surroundings) {
    return Builder(instance, surroundings).build();
}

Result<std::string> exec_process(const Instance& instance, const Execution& execution, const User& user) {
    auto settings = instance.settings;
    settings.privileged = settings.privileged || execution.privileged;
    const auto capabilities = Builder::capabilities_of(settings);
    if (!capabilities) {
        return std::unexpected(capabilities.error());
    }
    auto process = Builder::process_of(settings, *capabilities, user);
    process["args"] = execution.command;
    process["cwd"] = execution.working_directory.empty()
                         ? (settings.working_directory.empty() ? "/" : settings.working_directory)
                         : execution.working_directory;
    process["terminal"] = execution.terminal;
    std::vector<std::string> environment{default_path, "HOSTNAME=" + settings.hostname, "HOME=" + user.home};
    if (execution.terminal) {
        environment.emplace_back("TERM=xterm");
    }
    for (const auto& list : {settings.environment, execution.environment}) {
        for (const auto& entry : list) {
            set_variable(environment, entry);
        }
    }
    process["env"] = std::move(environment);
    return process.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace strata::instance
