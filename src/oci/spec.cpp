#include "base/atomic_file.hpp"
#include "oci/command.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace strata::oci {
namespace {

Json mount(const char* destination, const char* type, const char* source, std::vector<std::string> options) {
    return {
        {"destination", destination}, {"type", type}, {"source", source}, {"options", std::move(options)}};
}

Json process() {
    const Json capabilities{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
    return {{"terminal", true},
            {"user", {{"uid", 0}, {"gid", 0}}},
            {"args", {"sh"}},
            {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}},
            {"cwd", "/"},
            {"capabilities",
             {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}},
            {"rlimits", {{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}}},
            {"noNewPrivileges", true}};
}

Json mounts(bool rootless) {
    std::vector<std::string> pts{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
    if (!rootless) {
        pts.emplace_back("gid=5"); // a group that a single mapping does not have
    }
    Json list{mount("/proc", "proc", "proc", {}),
              mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
              mount("/dev/pts", "devpts", "devpts", pts),
              mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
              mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
              rootless ? mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"})
                       : mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"})};
    if (!rootless) {
        list.push_back(
            mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
    }
    return list;
}

Json linux_section(bool rootless) {
    Json namespaces = Json::array();
    for (const char* type : {"pid", "ipc", "uts", "mount", "cgroup"}) {
        namespaces.push_back({{"type", type}});
    }
    namespaces.push_back({{"type", rootless ? "user" : "network"}});
    Json section{
        {"namespaces", std::move(namespaces)},
        {"maskedPaths",
         {"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
          "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
          "/sys/firmware", "/sys/devices/virtual/powercap"}},
        {"readonlyPaths", {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}};
    if (rootless) {
        section["uidMappings"] = {{{"containerID", 0}, {"hostID", ::geteuid()}, {"size", 1}}};
        section["gidMappings"] = {{{"containerID", 0}, {"hostID", ::getegid()}, {"size", 1}}};
    } else {
        section["resources"] = {{"devices", {{{"allow", false}, {"access", "rwm"}}}}};
    }
    return section;
}

} // namespace

Result<int> spec(container::Runtime& /*runtime*/, Words words) {
    Arguments arguments("spec [OPTION...]", "Writes a config.json to begin with: a shell in ./rootfs.");
    std::string bundle = ".";
    bool rootless = false;
    arguments.text("--bundle,-b", bundle, "the directory for it (default: the current one)");
    arguments.flag("--rootless", rootless, "for a container of a user without privileges");
    const auto rest = arguments.parse(words, 0, 0);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    const std::string path = bundle + "/config.json";
    if (::access(path.c_str(), F_OK) == 0) {
        return fail(path + " exists already", "remove it first");
    }
    const Json document{{"ociVersion", "1.3.0"},
                        {"process", process()},
                        {"root", {{"path", "rootfs"}, {"readonly", true}}},
                        {"hostname", "strata"},
                        {"mounts", mounts(rootless)},
                        {"linux", linux_section(rootless)}};
    return status_of(replace_file(path, document.dump(4) + "\n", 0644));
}

} // namespace strata::oci
