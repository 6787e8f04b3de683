#include "instance/capabilities.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace strata::instance {
namespace {

constexpr std::string_view all[] = {"CHOWN",
                                    "DAC_OVERRIDE",
                                    "DAC_READ_SEARCH",
                                    "FOWNER",
                                    "FSETID",
                                    "KILL",
                                    "SETGID",
                                    "SETUID",
                                    "SETPCAP",
                                    "LINUX_IMMUTABLE",
                                    "NET_BIND_SERVICE",
                                    "NET_BROADCAST",
                                    "NET_ADMIN",
                                    "NET_RAW",
                                    "IPC_LOCK",
                                    "IPC_OWNER",
                                    "SYS_MODULE",
                                    "SYS_RAWIO",
                                    "SYS_CHROOT",
                                    "SYS_PTRACE",
                                    "SYS_PACCT",
                                    "SYS_ADMIN",
                                    "SYS_BOOT",
                                    "SYS_NICE",
                                    "SYS_RESOURCE",
                                    "SYS_TIME",
                                    "SYS_TTY_CONFIG",
                                    "MKNOD",
                                    "LEASE",
                                    "AUDIT_WRITE",
                                    "AUDIT_CONTROL",
                                    "SETFCAP",
                                    "MAC_OVERRIDE",
                                    "MAC_ADMIN",
                                    "SYSLOG",
                                    "WAKE_ALARM",
                                    "BLOCK_SUSPEND",
                                    "AUDIT_READ",
                                    "PERFMON",
                                    "BPF",
                                    "CHECKPOINT_RESTORE"};

constexpr std::string_view defaults[] = {
    "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
    "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE"};

Result<std::string> plain(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (text.starts_with("CAP_")) {
        text.erase(0, 4);
    }
    if (text != "ALL" && std::ranges::find(all, text) == std::end(all)) {
        return fail(fmt::format("there is no capability {}", text),
                    "capabilities(7) lists them: NET_ADMIN, SYS_TIME, …");
    }
    return text;
}

} // namespace

std::vector<std::string> all_capabilities() {
    std::vector<std::string> names;
    for (const auto name : all) {
        names.push_back("CAP_" + std::string(name));
    }
    return names;
}

Result<std::vector<std::string>> effective_capabilities(const std::vector<std::string>& add,
                                                        const std::vector<std::string>& drop) {
    std::set<std::string> added, dropped;
    for (const auto& [list, names] : {std::pair(&add, &added), std::pair(&drop, &dropped)}) {
        for (const auto& text : *list) {
            auto name = plain(text);
            if (!name) {
                return std::unexpected(name.error());
            }
            names->insert(std::move(*name));
        }
    }
    std::vector<std::string> result;
    for (const auto name : all) {
        const std::string text(name);
        const bool by_default =
            std::ranges::find(defaults, name) != std::end(defaults) && !dropped.contains("ALL");
        const bool wanted = by_default || added.contains(text) || added.contains("ALL");
        if (wanted && !dropped.contains(text)) {
            result.push_back("CAP_" + text);
        }
    }
    return result;
}

} // namespace strata::instance
