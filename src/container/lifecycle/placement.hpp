// Where a container's processes are held: in a control group, which is made here or by systemd, and where
// linux.intelRdt asks for it in a group of resctrl.
#pragma once

#include "container/cgroups/entrance.hpp"
#include "container/runtime.hpp"
#include "container/systemd/manager.hpp"

#include <optional>
#include <string>

namespace strata::container {

class Placement {
public:
    // Finds what cannot be; makes nothing yet. All but `id` must outlive it.
    [[nodiscard]] static Result<Placement> plan(const RuntimeOptions& options, const CgroupHost& host,
                                                const Config& config, const std::string& id);

    // Begins what takes time, to go on with something else meanwhile.
    [[nodiscard]] Result<void> begin();

    // The way into a group that is made here, for the process that is born next; none into one of systemd's.
    // `state` gets what there is to remove, here and in make().
    [[nodiscard]] Result<CgroupEntrance> prepare(State& state);

    // Makes it, with a process in it, which was `born_inside` the unified hierarchy's group or was not.
    [[nodiscard]] Result<void> make(pid_t pid, State& state, bool born_inside);

    // As both, with a process that is there already.
    [[nodiscard]] Result<void> make_around(pid_t pid, State& state);

    // The limits, and the rules for devices, which may be done without where a `user` cannot set them.
    [[nodiscard]] Result<void> limit(bool user_may_not) const;

    // Where systemd makes it, it has no paths until it is made.
    [[nodiscard]] Cgroup& cgroup() { return cgroup_; }

    // The control group from its hierarchy's root where systemd has made it; else nothing.
    [[nodiscard]] const std::string& made_by_systemd() const { return control_group_; }

private:
    Placement(const RuntimeOptions& options, const CgroupHost& host, const Config& config, std::string id)
        : options_(options), host_(host), config_(config), id_(std::move(id)) {}

    Result<void> create(State& state);
    Result<void> make_unit(pid_t pid, State& state);
    Result<void> make_rdt(pid_t pid, State& state) const;

    const RuntimeOptions& options_;
    const CgroupHost& host_;
    const Config& config_;
    std::string id_;
    Cgroup cgroup_{{}};
    std::optional<SystemdUnit> unit_{};
    std::optional<SystemdManager> manager_{};
    std::string control_group_{};
};

// The control group of a cgroup that systemd has made, on this host.
[[nodiscard]] Result<Cgroup> cgroup_of_unit(const CgroupHost& host, const std::string& control_group);

// Changes the limits of a container, and tells systemd if it has made its group.
[[nodiscard]] Result<void> update_placement(const State& state, const Resources& resources);

// Changes the schemas of its class of resctrl's, or makes one for all its processes; for the caller to save.
[[nodiscard]] Result<void> update_rdt(State& state, const IntelRdt& rdt);

// Ends what is left in it, and removes it.
[[nodiscard]] Result<void> remove_placement(const State& state);

} // namespace strata::container
