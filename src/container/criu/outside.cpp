#include "container/criu/outside.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "base/json_reader.hpp"
#include "container/cgroups/files.hpp"
#include "container/kernel/procfs.hpp"
#include "container/mounts/options.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdio>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <set>
#include <sstream>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace strata::container {
namespace {

constexpr auto file_name = "/strata.json";

struct SeenMount {
    int id = 0;
    std::string device, root, place, type;
};

// The kernel writes blanks and backslashes as \ooo.
std::string unescape(const std::string& text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        if (text[i] == '\\' && i + 3 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8).ec == std::errc{}) {
            plain.push_back(static_cast<char>(value));
            i += 3;
        } else {
            plain.push_back(text[i]);
        }
    }
    return plain;
}

std::vector<SeenMount> parse_mountinfo(const std::string& text) {
    std::vector<SeenMount> mounts;
    for (const auto& line : split_lines(text)) {
        SeenMount mount;
        std::string parent;
        std::istringstream(line) >> mount.id >> parent >> mount.device >> mount.root >> mount.place;
        if (const auto fields = line.find(" - "); fields != std::string::npos) {
            mount.type = line.substr(fields + 3, line.find(' ', fields + 3) - fields - 3);
        }
        mount.root = unescape(mount.root);
        mount.place = unescape(mount.place);
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

bool is_at_or_below(const std::string& path, const std::string& above) {
    return above == "/" ||
           (path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/'));
}

std::string without_last_slash(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
    return path;
}

// The entry of the configuration that put there what is at `place`, or null.
const Mount* nearest_mount(const Config& config, const std::string& place) {
    const Mount* nearest = nullptr;
    for (const Mount& mount : config.mounts) {
        const auto destination = without_last_slash(mount.destination);
        if (is_at_or_below(place, destination) &&
            (nearest == nullptr || destination.size() >= without_last_slash(nearest->destination).size())) {
            nearest = &mount;
        }
    }
    return nearest;
}

bool is_bind(const Mount* mount) {
    const auto options =
        mount != nullptr ? parse_mount_options(*mount) : Result<MountOptions>(MountOptions{});
    return options && options->bind;
}

bool is_masked(const Config& config, const std::string& place) {
    return std::ranges::find(config.masked_paths, place) != config.masked_paths.end();
}

// CRIU's names of what is not in the container: a file by its mount and its inode, a terminal by its numbers;
// in hexadecimal.
std::string outside_key(const struct stat& info, int mount) {
    constexpr unsigned first_terminal = 136, last_terminal = 143; // majors of pseudo-terminals' slaves
    const bool terminal = S_ISCHR(info.st_mode) && major(info.st_rdev) >= first_terminal &&
                          major(info.st_rdev) <= last_terminal;
    char text[64];
    std::snprintf(text, sizeof text, terminal ? "tty[%llx:%llx]" : "file[%llx:%llx]",
                  static_cast<unsigned long long>(terminal ? info.st_rdev : static_cast<unsigned>(mount)),
                  static_cast<unsigned long long>(terminal ? info.st_dev : info.st_ino));
    return text;
}

// What CRIU calls the root process's descriptor, if it leads outside.
std::string key_of_descriptor(pid_t pid, int fd, const std::set<int>& inside) {
    const std::string process = "/proc/" + std::to_string(pid), number = std::to_string(fd);
    char target[PATH_MAX];
    const auto size = ::readlink((process + "/fd/" + number).c_str(), target, sizeof target);
    const std::string link(target, size > 0 ? static_cast<std::size_t>(size) : 0);
    if (link.starts_with("pipe:")) {
        return link;
    }
    struct stat info{};
    const auto text = read_text_at(AT_FDCWD, process + "/fdinfo/" + number);
    const auto at = text ? text->find("mnt_id:") : std::string::npos;
    if (!link.starts_with('/') || at == std::string::npos ||
        ::stat((process + "/fd/" + number).c_str(), &info) != 0) {
        return "";
    }
    const int mount = std::atoi(text->c_str() + at + std::string_view("mnt_id:").size());
    return inside.contains(mount) ? "" : outside_key(info, mount);
}

} // namespace

std::vector<std::string> find_outside_mounts(const std::string& mountinfo, const Config& config) {
    const auto mounts = parse_mountinfo(mountinfo);
    const auto is_bound = [&](const SeenMount& mount) {
        return mount.place != "/" && !is_masked(config, mount.place) &&
               is_bind(nearest_mount(config, mount.place));
    };
    // A part of what the container has whole is made from that.
    const auto is_part = [&](const SeenMount& mount) {
        return std::ranges::any_of(mounts, [&](const SeenMount& other) {
            return other.device == mount.device && !is_bound(other) &&
                   (other.root == "/" || other.place == "/") && is_at_or_below(mount.root, other.root);
        });
    };
    // Control groups are seen from the container's own, whatever their root is from here.
    const bool own_cgroups = config.find_namespace(CLONE_NEWCGROUP) != nullptr;
    const auto is_cgroup = [&](const SeenMount& mount) {
        return !is_bound(mount) && (mount.type == "cgroup2" || (mount.type == "cgroup" && own_cgroups));
    };
    std::vector<std::string> outside;
    for (const SeenMount& mount : mounts) {
        if (!is_cgroup(mount) && (is_bound(mount) || !is_part(mount))) {
            outside.push_back(mount.place);
        }
    }
    return outside;
}

Result<Outside> find_outside(pid_t pid, const Config& config) {
    const auto text = read_text_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/mountinfo");
    if (!text) {
        return std::unexpected(text.error());
    }
    std::set<int> inside;
    for (const SeenMount& mount : parse_mountinfo(*text)) {
        inside.insert(mount.id);
    }
    Outside outside{.mounts = find_outside_mounts(*text, config), .descriptors = {}};
    constexpr int most = 64; // the standard streams, and what --preserve-fds gave
    for (int fd = 0; fd < most; ++fd) {
        if (const auto key = key_of_descriptor(pid, fd, inside); !key.empty()) {
            outside.descriptors[fd] = key;
        }
    }
    return outside;
}

Result<std::string> source_of_mount(const std::string& place, const Config& config, const Cgroup& cgroup) {
    if (is_masked(config, place)) {
        return "/dev/null";
    }
    const Mount* mount = nearest_mount(config, place);
    if (is_bind(mount)) {
        return mount->source + place.substr(without_last_slash(mount->destination).size());
    }
    if (mount != nullptr && mount->type == "cgroup") {
        const auto found = cgroup.paths().find(place.substr(place.rfind('/') + 1));
        if (found != cgroup.paths().end()) {
            return found->second;
        }
    }
    if (place.starts_with("/dev/")) {
        return place; // a device, which in a user namespace is the host's
    }
    return fail("config.json does not tell what is to be mounted at " + place +
                    ", as it was in the container",
                "restore it with the configuration that it was saved with");
}

Result<void> save_outside(const Outside& outside, const std::string& directory) {
    Json descriptors = Json::array();
    for (const auto& [fd, key] : outside.descriptors) {
        descriptors.push_back({{"fd", fd}, {"key", key}});
    }
    const Json document{{"mounts", outside.mounts}, {"descriptors", descriptors}};
    return replace_file(directory + file_name, document.dump(), 0600);
}

Result<Outside> load_outside(const std::string& directory) {
    constexpr std::uint64_t largest = 1 << 20;
    const auto bytes = read_file(directory + file_name, "checkpoint", largest);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    JsonReader reader("checkpoint " + directory + file_name);
    const auto root = reader.parse({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    Outside outside{.mounts = root.at("mounts").strings(), .descriptors = {}};
    for (const auto& item : root.at("descriptors").items()) {
        outside.descriptors[static_cast<int>(item.at("fd").number(INT_MAX))] = item.at("key").string();
    }
    return reader.error() ? Result<Outside>(std::unexpected(*reader.error())) : outside;
}

} // namespace strata::container
