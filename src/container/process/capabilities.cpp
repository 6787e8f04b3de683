#include "container/process/capabilities.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace strata::container {
namespace {

struct Sets {
    std::uint64_t effective = 0, permitted = 0, inheritable = 0;
};

Result<Sets> current_sets() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2]{};
    if (::syscall(SYS_capget, &header, data) != 0) {
        return fail_errno("read", "the capabilities");
    }
    const auto join = [](std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; };
    return Sets{.effective = join(data[0].effective, data[1].effective),
                .permitted = join(data[0].permitted, data[1].permitted),
                .inheritable = join(data[0].inheritable, data[1].inheritable)};
}

bool store(const Sets& sets) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const auto low = [](std::uint64_t set) { return static_cast<std::uint32_t>(set); };
    const auto high = [](std::uint64_t set) { return static_cast<std::uint32_t>(set >> 32); };
    __user_cap_data_struct data[2]{{low(sets.effective), low(sets.permitted), low(sets.inheritable)},
                                   {high(sets.effective), high(sets.permitted), high(sets.inheritable)}};
    return ::syscall(SYS_capset, &header, data) == 0;
}

} // namespace

const std::vector<std::string_view>& capability_names() {
    // By number, from linux/capability.h.
    static const std::vector<std::string_view> names{"CAP_CHOWN",
                                                     "CAP_DAC_OVERRIDE",
                                                     "CAP_DAC_READ_SEARCH",
                                                     "CAP_FOWNER",
                                                     "CAP_FSETID",
                                                     "CAP_KILL",
                                                     "CAP_SETGID",
                                                     "CAP_SETUID",
                                                     "CAP_SETPCAP",
                                                     "CAP_LINUX_IMMUTABLE",
                                                     "CAP_NET_BIND_SERVICE",
                                                     "CAP_NET_BROADCAST",
                                                     "CAP_NET_ADMIN",
                                                     "CAP_NET_RAW",
                                                     "CAP_IPC_LOCK",
                                                     "CAP_IPC_OWNER",
                                                     "CAP_SYS_MODULE",
                                                     "CAP_SYS_RAWIO",
                                                     "CAP_SYS_CHROOT",
                                                     "CAP_SYS_PTRACE",
                                                     "CAP_SYS_PACCT",
                                                     "CAP_SYS_ADMIN",
                                                     "CAP_SYS_BOOT",
                                                     "CAP_SYS_NICE",
                                                     "CAP_SYS_RESOURCE",
                                                     "CAP_SYS_TIME",
                                                     "CAP_SYS_TTY_CONFIG",
                                                     "CAP_MKNOD",
                                                     "CAP_LEASE",
                                                     "CAP_AUDIT_WRITE",
                                                     "CAP_AUDIT_CONTROL",
                                                     "CAP_SETFCAP",
                                                     "CAP_MAC_OVERRIDE",
                                                     "CAP_MAC_ADMIN",
                                                     "CAP_SYSLOG",
                                                     "CAP_WAKE_ALARM",
                                                     "CAP_BLOCK_SUSPEND",
                                                     "CAP_AUDIT_READ",
                                                     "CAP_PERFMON",
                                                     "CAP_BPF",
                                                     "CAP_CHECKPOINT_RESTORE"};
    return names;
}

std::optional<unsigned> capability_number(std::string_view name) {
    const auto& names = capability_names();
    for (unsigned i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return i;
        }
    }
    return std::nullopt;
}

Result<void> limit_bounding_set(const Capabilities& wanted) {
    for (unsigned capability = 0; capability < 64; ++capability) {
        const int there = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (there < 0) {
            break; // the kernel knows no more
        }
        const bool keep = (wanted.bounding >> capability & 1) != 0;
        if (there == 1 && !keep && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
            return fail_errno("drop", "a capability from the bounding set");
        }
    }
    return {};
}

Result<void> set_capabilities(const Capabilities& wanted) {
    const auto now = current_sets();
    if (!now) {
        return std::unexpected(now.error());
    }
    const Sets sets{.effective = wanted.effective & wanted.permitted & now->permitted,
                    .permitted = wanted.permitted & now->permitted,
                    .inheritable = wanted.inheritable & (now->permitted | now->inheritable)};
    if (!store(sets)) {
        return fail_errno("set", "the capabilities of the container's process");
    }
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned capability = 0; capability < 64; ++capability) {
        const bool possible = ((wanted.ambient & sets.permitted & sets.inheritable) >> capability & 1) != 0;
        if (possible && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) {
            return fail_errno("raise", "an ambient capability");
        }
    }
    return {};
}

} // namespace strata::container
