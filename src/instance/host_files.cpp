#include "instance/host_files.hpp"

#include "base/atomic_file.hpp"
#include "base/copy_tree.hpp"
#include "base/file_descriptor.hpp"
#include "instance/network/name_server.hpp"
#include "instance/network/networks.hpp"
#include "instance/network/user_mode.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace strata::instance {
namespace {

std::string hosts_text(const Instance& instance, const std::vector<std::string>& addresses) {
    const auto& settings = instance.settings;
    if (settings.network == "host" && settings.hosts.empty()) {
        std::ifstream file("/etc/hosts");
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                       "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
    for (const auto& entry : settings.hosts) { // NAME:ADDRESS
        const auto colon = entry.find(':');
        text += fmt::format("{}\t{}\n", entry.substr(colon + 1), entry.substr(0, colon));
    }
    for (const auto& address : addresses) {
        text += fmt::format(
            "{}\t{}{}\n", address, settings.hostname,
            settings.domainname.empty() ? "" : " " + settings.hostname + "." + settings.domainname);
    }
    return text;
}

// The host's, but for servers on the host's own loopback, which a container cannot reach. A name server of
// its own asks the others itself.
std::string resolver_text(const Settings& settings, bool has_names) {
    const bool own_network = is_bridged(settings.network) || settings.network == "user";
    std::string text, servers;
    std::ifstream file("/etc/resolv.conf");
    for (std::string line; std::getline(file, line);) {
        const bool server = line.starts_with("nameserver");
        const bool loopback =
            line.find(" 127.") != std::string::npos || line.find(" ::1") != std::string::npos;
        if (server && settings.dns.empty() && !has_names && settings.network != "user" &&
            !(own_network && loopback)) {
            servers += line + "\n";
        } else if (!server && !(line.starts_with("search") && !settings.dns_search.empty())) {
            text += line + "\n";
        }
    }
    if (settings.network == "user" && settings.dns.empty()) { // it asks the host's
        servers = fmt::format("nameserver {}\n", user_name_server);
    }
    for (const auto& server : settings.dns) {
        servers += has_names ? "" : "nameserver " + server + "\n";
    }
    if (has_names) {
        servers = fmt::format("nameserver {}\n", name_server_address);
        text += "options ndots:0\n"; // a name without a dot is another container's
    }
    std::string search;
    for (const auto& domain : settings.dns_search) {
        search += " " + domain;
    }
    return servers + text + (search.empty() ? "" : "search" + search + "\n");
}

} // namespace

Result<std::vector<std::pair<std::string, std::string>>>
write_host_files(const std::string& directory, const Instance& instance,
                 const std::vector<std::string>& addresses, bool has_names) {
    const std::pair<const char*, std::string> files[] = {
        {"hosts", hosts_text(instance, addresses)},
        {"hostname", instance.settings.hostname + "\n"},
        {"resolv.conf", resolver_text(instance.settings, has_names)},
    };
    std::vector<std::pair<std::string, std::string>> places;
    for (const auto& [name, text] : files) {
        const auto path = directory + "/" + name;
        if (auto written = replace_passing_file(path, text, 0644); !written) {
            return std::unexpected(written.error());
        }
        places.emplace_back(path, std::string("/etc/") + name);
    }
    return places;
}

Result<void> fill_volume(const std::string& volume, int root, const std::string& target) {
    std::error_code failure;
    if (!std::filesystem::is_empty(volume, failure) || failure) {
        return {};
    }
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const FileDescriptor source(
        static_cast<int>(syscall(SYS_openat2, root, target.c_str(), &how, sizeof how)));
    struct stat status{};
    if (!source || fstat(source.get(), &status) != 0) {
        return {}; // the image has nothing there
    }
    if (chown(volume.c_str(), status.st_uid, status.st_gid) != 0 ||
        chmod(volume.c_str(), status.st_mode & 07777U) != 0) {
        return fail_errno("prepare volume", volume);
    }
    return copy_tree(source.get(), volume);
}

} // namespace strata::instance
