#include "cli/instance/context.hpp"

#include "base/error.hpp"
#include "instance/life_cycle.hpp"
#include "instance/monitor.hpp"
#include "instance/rootless/user_namespace.hpp"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>

namespace strata::cli {

void define_places(CLI::App& command, Places& places) {
    command.add_option("--state", places.directory, "Directory of the containers' state")
        ->type_name("DIR")
        ->envname("STRATA_STATE")
        ->capture_default_str();
    command.add_option("--store", places.store, "Directory of the image store")
        ->type_name("DIR")
        ->envname("STRATA_STORE")
        ->capture_default_str();
}

Result<instance::Instances> open_instances(const Places& places) {
    if (auto entered = instance::enter_user_namespace(places.directory); !entered) {
        return std::unexpected(entered.error());
    }
    auto instances = instance::Instances::open(places.directory, places.store);
    if (instances) {
        instance::remove_abandoned(*instances);
    }
    return instances;
}

Result<instance::Instance> find_container(const instance::Instances& instances, const std::string& name) {
    auto found = instances.find(name);
    return found && instance::attend(instances, *found) ? instances.find(found->id) : found;
}

Result<std::vector<instance::Instance>> list_containers(const instance::Instances& instances) {
    auto all = instances.list();
    if (all) {
        const bool changed = std::ranges::count_if(*all, [&](const auto& each) {
                                 return instance::attend(instances, each);
                             }) > 0;
        return changed ? instances.list() : std::move(all);
    }
    return all;
}

Result<int> for_each_named(const instance::Instances& instances, const std::vector<std::string>& names,
                           const std::function<Result<void>(const instance::Instance&)>& act,
                           bool may_be_absent) {
    int status = success;
    for (const auto& name : names) {
        const auto found = find_container(instances, name);
        if (!found && found.error().code == ENOENT && may_be_absent) {
            continue;
        }
        const auto done = found ? act(*found) : Result<void>(std::unexpected(found.error()));
        if (done) {
            fmt::print("{}\n", name);
        } else {
            status = report(done.error(), failure);
        }
    }
    return status;
}

void take_command(CLI::App& command) { command.prefix_command(); }

} // namespace strata::cli
