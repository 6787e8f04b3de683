#include "instance/volumes.hpp"

#include "base/atomic_file.hpp"
#include "base/remove_tree.hpp"
#include "instance/events.hpp"
#include "instance/identity.hpp"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>

namespace strata::instance {
namespace {

std::string directory_of(const Instances& instances, const std::string& name) {
    return instances.directory() + "/volumes/" + name;
}

Result<void> check_name(const std::string& name) {
    const bool good =
        name.size() > 1 && name.front() != '.' && name.front() != '-' &&
        std::ranges::all_of(name, [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
        });
    return good ? Result<void>{}
                : fail(fmt::format("'{}' is no name for a volume", name),
                       "use letters, digits, '_', '.' and '-'; a directory of the host is written as an "
                       "absolute path");
}

} // namespace

Result<Volume> find_volume(const Instances& instances, const std::string& name) {
    auto row = instances.database().prepare("SELECT created FROM volumes WHERE name = ?");
    const auto found = row.bind(name).step();
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!*found) {
        return fail(fmt::format("no volume '{}'", name), "strata volume ls lists them");
    }
    return Volume{.name = name, .path = directory_of(instances, name) + "/data", .created = row.number()};
}

// The directory first: a row without one would be a volume that cannot be mounted.
Result<Volume> need_volume(const Instances& instances, const std::string& wanted) {
    const auto name = wanted.empty() ? random_id() : wanted;
    if (auto good = check_name(name); !good) {
        return std::unexpected(good.error());
    }
    if (auto made = make_directories(directory_of(instances, name) + "/data", 0755); !made) {
        return std::unexpected(made.error());
    }
    auto added = instances.database().prepare(
        "INSERT OR IGNORE INTO volumes (name, created, labels) VALUES (?, ?, '{}') RETURNING name");
    const auto is_new = added.bind(name).bind(static_cast<std::int64_t>(std::time(nullptr))).step();
    if (!is_new) {
        return std::unexpected(is_new.error());
    }
    if (*is_new) {
        static_cast<void>(added.step()); // to its end, which commits it
        record_volume_event(instances.database(), name, "create");
    }
    return find_volume(instances, name);
}

Result<std::vector<Volume>> list_volumes(const Instances& instances) {
    auto rows = instances.database().prepare("SELECT name, created FROM volumes ORDER BY name");
    return rows.all([&](Statement& row) -> Result<Volume> {
        Volume volume{.name = row.text(), .created = row.number()};
        volume.path = directory_of(instances, volume.name) + "/data";
        return volume;
    });
}

Result<std::vector<std::string>> users_of_volume(const Instances& instances, const std::string& name) {
    const auto all = instances.list();
    if (!all) {
        return std::unexpected(all.error());
    }
    std::vector<std::string> users;
    for (const auto& instance : *all) {
        if (std::ranges::any_of(instance.settings.mounts, [&](const MountPoint& point) {
                return point.type == "volume" && point.source == name;
            })) {
            users.push_back(instance.name);
        }
    }
    return users;
}

Result<void> remove_volume(const Instances& instances, const std::string& name) {
    if (auto found = find_volume(instances, name); !found) {
        return std::unexpected(found.error());
    }
    const auto users = users_of_volume(instances, name);
    if (!users) {
        return std::unexpected(users.error());
    }
    if (!users->empty()) {
        return fail(fmt::format("volume '{}' is used by container {}", name, users->front()),
                    "remove the container first (strata rm)");
    }
    const auto removed = instances.database().prepare("DELETE FROM volumes WHERE name = ?").bind(name).run();
    if (removed) {
        record_volume_event(instances.database(), name, "destroy");
    }
    return removed ? remove_tree(directory_of(instances, name)) : removed;
}

} // namespace strata::instance
