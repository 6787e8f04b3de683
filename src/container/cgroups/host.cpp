#include "container/cgroups/host.hpp"

#include "container/kernel/procfs.hpp"

#include <algorithm>
#include <fcntl.h>

namespace strata::container {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::size_t start = 0;
    while (start <= text.size()) {
        const auto end = std::min(text.find(separator, start), text.size());
        parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    return parts;
}

// Options of a v1 superblock that are controllers; the rest is of no interest.
bool is_controller(const std::string& word) {
    constexpr std::string_view others[] = {
        "rw", "ro", "clone_children", "noprefix", "xattr", "cpuset_v2_mode", "none"};
    return !word.empty() && !word.starts_with("release_agent=") &&
           std::ranges::find(others, word) == std::end(others);
}

// "36 35 98:0 /root /mnt options ... - type source super_options"
void add_mount(CgroupHost& host, const std::string& line) {
    const auto fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 5 || fields.end() - dash < 4) {
        return;
    }
    CgroupHierarchy hierarchy{.controllers = {}, .mount_point = fields[4], .root = fields[3], .own = "/"};
    const std::string& type = dash[1];
    if (type == "cgroup2" && host.unified.empty()) {
        host.unified.push_back(std::move(hierarchy));
    } else if (type == "cgroup") {
        for (const auto& word : split(dash[3], ',')) {
            if (is_controller(word)) {
                hierarchy.controllers.push_back(word);
            }
        }
        if (!hierarchy.controllers.empty() && host.find_v1(hierarchy.controllers.front()) == nullptr) {
            host.v1.push_back(std::move(hierarchy));
        }
    }
}

// "4:memory:/path", and "0::/path" for the unified hierarchy.
void add_own(CgroupHost& host, const std::string& line) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) {
        return;
    }
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    for (auto& hierarchy : controllers.empty() ? host.unified : host.v1) {
        const bool same = controllers.empty() ||
                          std::ranges::find(hierarchy.controllers, split(controllers, ',').front()) !=
                              hierarchy.controllers.end();
        if (same) {
            hierarchy.own = path;
        }
    }
}

template <class Function>
void for_each_line(const std::string& text, Function function) {
    for (const auto& line : split(text, '\n')) {
        function(line);
    }
}

} // namespace

const CgroupHierarchy* CgroupHost::find_v1(const std::string& controller) const {
    for (const auto& hierarchy : v1) {
        if (std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end()) {
            return &hierarchy;
        }
    }
    return nullptr;
}

CgroupHost parse_cgroup_host(const std::string& mountinfo, const std::string& cgroups) {
    CgroupHost host;
    for_each_line(mountinfo, [&host](const std::string& line) { add_mount(host, line); });
    for_each_line(cgroups, [&host](const std::string& line) { add_own(host, line); });
    return host;
}

Result<CgroupHost> detect_cgroup_host() {
    const auto mounts = read_text_at(AT_FDCWD, "/proc/self/mountinfo");
    const auto cgroups = read_text_at(AT_FDCWD, "/proc/self/cgroup");
    if (!mounts || !cgroups) {
        return std::unexpected(mounts ? cgroups.error() : mounts.error());
    }
    return parse_cgroup_host(*mounts, *cgroups);
}

} // namespace strata::container
