#include "container/lifecycle/placement.hpp"

#include "container/cgroups/controllers.hpp"
#include "container/cgroups/files.hpp"

#include <charconv>
#include <csignal>
#include <unistd.h>

namespace strata::container {
namespace {

void append(UnitProperties& to, const UnitProperties& more) { to.insert(to.end(), more.begin(), more.end()); }

// A user's manager may load no programs, which is how rules for devices are kept to.
UnitProperties rules_for(const SystemdUnit& unit, const Resources& resources) {
    return unit.user ? UnitProperties{} : device_properties(complete_device_rules(resources.devices));
}

Result<SystemdUnit> plan_unit(const RuntimeOptions& options, const CgroupHost& host, const Config& config,
                              const std::string& id) {
    if (auto booted = check_systemd(); !booted) {
        return std::unexpected(booted.error());
    }
    auto unit = parse_systemd_unit(config.cgroups_path, id, wants_user_manager(options.rootless));
    if (unit && unit->user && !host.v1.empty()) {
        return fail(
            "--systemd-cgroup: a user's manager can hand down control groups of version 2 only, and this "
            "host has version 1",
            "set the caller's cgroup manager to cgroupfs");
    }
    return unit;
}

// systemd hands down only controllers that it knows.
bool needs_more_controllers(const Resources& resources) {
    return !resources.hugepages.empty() || !resources.rdma.empty() || !resources.unified.empty();
}

// The period in cpu.max, "50000 100000".
std::uint64_t cpu_period(const Cgroup& cgroup) {
    std::uint64_t period = 100'000;
    const auto unified = cgroup.paths().find(Cgroup::unified_key);
    const auto text =
        unified != cgroup.paths().end() ? read_cgroup_file(unified->second, "cpu.max").value_or("") : "";
    if (const auto blank = text.find(' '); blank != std::string::npos) {
        std::from_chars(text.data() + blank + 1, text.data() + text.size(), period);
    }
    return period;
}

bool is_unified(const Cgroup& cgroup) {
    return cgroup.paths().size() == 1 && cgroup.paths().contains(Cgroup::unified_key);
}

} // namespace

Result<Placement> Placement::plan(const RuntimeOptions& options, const CgroupHost& host, const Config& config,
                                  const std::string& id) {
    Placement placement(options, host, config, id);
    if (!options.systemd_cgroup) {
        auto cgroup = Cgroup::plan(host, config.cgroups_path, id);
        if (!cgroup) {
            return std::unexpected(cgroup.error());
        }
        placement.cgroup_ = std::move(*cgroup);
        return placement;
    }
    auto unit = plan_unit(options, host, config, id);
    if (!unit) {
        return std::unexpected(unit.error());
    }
    placement.unit_ = std::move(*unit);
    return placement;
}

Result<void> Placement::begin() {
    if (!unit_) {
        return {};
    }
    auto manager = SystemdManager::open(unit_->user);
    if (!manager) {
        return std::unexpected(manager.error());
    }
    manager_.emplace(std::move(*manager));
    return {};
}

Result<void> Placement::make_unit(pid_t pid, State& state) {
    const bool unified = host_.v1.empty();
    auto properties = basic_properties(*unit_, "Container " + id_, pid, unified);
    const auto limits = limit_properties(config_.resources, unified);
    const auto annotated = annotated_properties(config_.annotations);
    if (!limits || !annotated) {
        return std::unexpected(limits ? annotated.error() : limits.error());
    }
    append(properties, rules_for(*unit_, config_.resources));
    append(properties, *limits);
    append(properties, *annotated); // last, since they overrule
    auto group = manager_->start(*unit_, properties);
    manager_.reset();
    if (!group) {
        return std::unexpected(group.error());
    }
    state.unit = unit_;
    control_group_ = std::move(*group);
    auto cgroup = cgroup_of_unit(host_, control_group_);
    if (!cgroup) {
        return std::unexpected(cgroup.error());
    }
    cgroup_ = std::move(*cgroup);
    if (unified && needs_more_controllers(config_.resources)) {
        cgroup_.hand_down_all();
    }
    return {};
}

Result<void> Placement::make_rdt(pid_t pid, State& state) const {
    const auto root = resctrl_of_host();
    if (!root) {
        return std::unexpected(root.error());
    }
    auto group = make_rdt_group(*root, *config_.intel_rdt, id_);
    if (!group) {
        return std::unexpected(group.error());
    }
    state.rdt = std::move(*group);
    return add_to_rdt_group(*state.rdt, pid);
}

Result<void> Placement::create(State& state) {
    auto made = cgroup_.create(options_.rootless);
    state.cgroup_paths = cgroup_.paths();
    return made;
}

Result<CgroupEntrance> Placement::prepare(State& state) {
    if (unit_) {
        return CgroupEntrance{};
    }
    auto made = create(state);
    return made ? CgroupEntrance::open(cgroup_, options_.rootless) : std::unexpected(made.error());
}

Result<void> Placement::make(pid_t pid, State& state, bool born_inside) {
    Result<void> added;
    if (unit_) {
        auto made = make_unit(pid, state);
        made = made ? create(state) : made;
        added = made ? cgroup_.add(pid) : made;
        if (!made) {
            return made;
        }
    } else if (!born_inside) {
        added = cgroup_.add_to_unified(pid);
    }
    if (!added && !options_.rootless) {
        return added;
    }
    return config_.intel_rdt ? make_rdt(pid, state) : Result<void>{};
}

Result<void> Placement::make_around(pid_t pid, State& state) {
    if (!unit_) {
        auto made = create(state);
        if (!made) {
            return made;
        }
        if (auto added = cgroup_.add(pid); !added && !options_.rootless) {
            return added;
        }
    }
    return make(pid, state, true);
}

Result<void> Placement::limit(bool user_may_not) const {
    if (auto set = cgroup_.set(config_.resources); !set) {
        return set;
    }
    auto devices = cgroup_.set_devices(config_.resources.devices);
    return devices || !user_may_not ? devices : Result<void>{};
}

Result<Cgroup> cgroup_of_unit(const CgroupHost& host, const std::string& control_group) {
    return Cgroup::plan(host, control_group, "");
}

Result<void> update_placement(const State& state, const Resources& resources) {
    const Cgroup cgroup(state.cgroup_paths);
    if (state.unit) {
        auto properties = limit_properties(resources, is_unified(cgroup), cpu_period(cgroup));
        if (!properties) {
            return std::unexpected(properties.error());
        }
        if (!resources.devices.empty()) {
            append(*properties, rules_for(*state.unit, resources));
        }
        if (!properties->empty()) {
            auto manager = SystemdManager::open(state.unit->user);
            auto set = manager ? manager->set(*state.unit, *properties) : std::unexpected(manager.error());
            if (!set) {
                return set;
            }
        }
    }
    if (auto set = cgroup.set(resources); !set) {
        return set;
    }
    return resources.devices.empty() ? Result<void>{} : cgroup.set_devices(resources.devices);
}

Result<void> update_rdt(State& state, const IntelRdt& rdt) {
    const auto root = resctrl_of_host();
    if (!root) {
        return std::unexpected(root.error());
    }
    if (state.rdt) {
        return write_schemata(*state.rdt, rdt);
    }
    auto group = make_rdt_group(*root, rdt, state.id);
    if (!group) {
        return std::unexpected(group.error());
    }
    state.rdt = std::move(*group);
    const auto pids = Cgroup(state.cgroup_paths).processes();
    for (const pid_t pid : pids.value_or(std::vector<pid_t>{})) {
        if (auto added = add_to_rdt_group(*state.rdt, pid); !added && added.error().code != ESRCH) {
            return added;
        }
    }
    return {};
}

Result<void> remove_placement(const State& state) {
    const Cgroup cgroup(state.cgroup_paths);
    if (state.unit) {
        // systemd would ask them first, and give them time.
        (void)cgroup.signal_all(SIGKILL);
        auto manager = SystemdManager::open(state.unit->user);
        auto stopped = manager ? manager->stop(*state.unit) : std::unexpected(manager.error());
        if (!stopped) {
            return stopped;
        }
    }
    if (auto removed = cgroup.remove(); !removed) {
        return removed;
    }
    return state.rdt ? remove_rdt_group(*state.rdt) : Result<void>{};
}

} // namespace strata::container
