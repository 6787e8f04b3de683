#include "container/isolation/sysctl.hpp"

#include <algorithm>
#include <sched.h>

namespace strata::container {
namespace {

// Which namespace a parameter belongs to; 0 for none.
int namespace_of(std::string_view name) {
    constexpr std::string_view ipc[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                        "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                        "kernel.shmmni", "kernel.shm_rmid_forced"};
    if (std::ranges::find(ipc, name) != std::end(ipc) || name.starts_with("fs.mqueue.")) {
        return CLONE_NEWIPC;
    }
    if (name.starts_with("net.")) {
        return CLONE_NEWNET;
    }
    if (name == "kernel.hostname" || name == "kernel.domainname") {
        return CLONE_NEWUTS;
    }
    return name.starts_with("user.") ? CLONE_NEWUSER : 0;
}

// "net.ipv4.ip_forward" and "net/ipv4/ip_forward"; with slashes, dots belong to a name
// (net/ipv4/conf/eth0.1).
std::string path_of(std::string name) {
    const auto separator = name.find_first_of("./");
    if (separator != std::string::npos && name[separator] == '.') {
        std::ranges::transform(name, name.begin(), [](char c) {
            return c == '.' ? '/' : c == '/' ? '.' : c;
        });
    }
    return name;
}

std::string dotted(std::string name) {
    std::ranges::replace(name, '/', '.');
    return name;
}

} // namespace

Result<void> check_sysctls(const Config& config) {
    for (const auto& [name, value] : config.sysctl) {
        const int flag = namespace_of(dotted(name));
        if (flag == 0) {
            return fail("config.json: linux.sysctl." + name +
                        " is not of a namespace: setting it would change the host");
        }
        const Namespace* entry = config.find_namespace(flag);
        if (entry == nullptr) {
            return fail("config.json: linux.sysctl." + name +
                        " is of a namespace that the container shares with the host");
        }
    }
    return {};
}

Result<void> set_sysctls(const Procfs& proc, const std::map<std::string, std::string>& sysctls) {
    for (const auto& [name, value] : sysctls) {
        if (auto written = proc.write("sys/" + path_of(name), value); !written) {
            return written;
        }
    }
    return {};
}

} // namespace strata::container
