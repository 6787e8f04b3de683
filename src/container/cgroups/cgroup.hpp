// A container's control group: one directory in each version 1 hierarchy and one in the unified hierarchy,
// whichever the host has. What is asked of a controller goes to where that controller is.
#pragma once

#include "base/error.hpp"
#include "container/cgroups/host.hpp"
#include "container/config/config.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::container {

class Cgroup {
public:
    static constexpr auto unified_key = ""; // the unified hierarchy's key in paths()

    // `path` is config.json's cgroupsPath: absolute from the hierarchies' roots, relative from the creator's
    // own cgroup, or on a host with version 2 alone from the one above it; `id` is used when it is empty.
    [[nodiscard]] static Result<Cgroup> plan(const CgroupHost& host, const std::string& path,
                                             const std::string& id);

    // From what paths() gave.
    explicit Cgroup(std::map<std::string, std::string> paths) : paths_(std::move(paths)) {}

    // Controller to directory.
    [[nodiscard]] const std::map<std::string, std::string>& paths() const { return paths_; }

    // Without the right to (`optional`), hierarchies are passed over.
    [[nodiscard]] Result<void> create(bool optional);
    // In version 2: every controller to this group from all those above it.
    void hand_down_all() const;
    [[nodiscard]] Result<void> add(pid_t pid) const;
    [[nodiscard]] Result<void> add_to_unified(pid_t pid) const;
    [[nodiscard]] Result<void> set(const Resources& resources) const;

    // The device rules alone; empty ones still deny all but the standard devices.
    [[nodiscard]] Result<void> set_devices(const std::vector<DeviceRule>& rules) const;

    // All processes, of cgroups below too.
    [[nodiscard]] Result<std::vector<pid_t>> processes() const;
    [[nodiscard]] Result<void> signal_all(int signal) const;

    [[nodiscard]] Result<void> freeze(bool frozen) const;
    [[nodiscard]] bool is_frozen() const;

    // Kills what is left, and removes the directories and those below; those that are gone are no error.
    [[nodiscard]] Result<void> remove() const;

    // The directory of a controller, wherever it is; nothing if the host does not offer it.
    struct Place {
        std::string directory;
        bool unified;
    };

    [[nodiscard]] std::optional<Place> find(const std::string& controller) const;

private:
    std::map<std::string, std::string> paths_;
};

} // namespace strata::container
