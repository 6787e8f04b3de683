#include "container/isolation/id_maps.hpp"
#include "container/mounts/mount.hpp"
#include "container/mounts/rootfs.hpp"

#include <fcntl.h>
#include <sched.h>

namespace strata::container {
namespace {

// A copy that is made outside the container's mount namespace gets the propagation here that the namespace's
// "/" gets.
Result<FileDescriptor> copy_for_container(const Config& config, const std::string& path, bool recursive) {
    auto copy = copy_mount(AT_FDCWD, path, recursive);
    if (!copy) {
        return copy;
    }
    const auto propagation = config.rootfs_propagation != 0 ? config.rootfs_propagation : MS_SLAVE | MS_REC;
    if (auto set = set_propagation(copy->get(), propagation, path); !set) {
        return std::unexpected(set.error());
    }
    return copy;
}

Result<FileDescriptor> mapping_for(const Config& config, const Mount& mount) {
    const bool own = !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
    const auto& uids = own ? mount.uid_mappings : config.uid_mappings;
    const auto& gids = own ? mount.gid_mappings : config.gid_mappings;
    if (uids.empty() || gids.empty()) {
        return fail("config.json: mount " + mount.destination + ": idmap needs uidMappings and gidMappings");
    }
    return make_mapping_namespace(uids, gids);
}

Result<void> prepare_mount(const Config& config, const Mount& mount, PreparedMount& prepared,
                           bool in_creator) {
    const MountOptions& options = prepared.options;
    if (!options.bind) {
        return options.idmap
                   ? fail("config.json: mount " + mount.destination + ": idmap is for bind mounts only")
                   : Result<void>{};
    }
    if (!in_creator && !options.idmap) {
        return {};
    }
    auto copy = copy_for_container(config, mount.source, options.recursive_bind);
    if (!copy) {
        return std::unexpected(copy.error());
    }
    if (options.idmap) {
        const auto mapping = mapping_for(config, mount);
        if (!mapping) {
            return std::unexpected(mapping.error());
        }
        MountOptions only_mapping;
        only_mapping.recursive_idmap = options.recursive_idmap;
        if (auto set = set_attributes(copy->get(), only_mapping, mapping->get(), mount.destination); !set) {
            return set;
        }
    }
    prepared.source = std::move(*copy);
    return {};
}

} // namespace

Result<PreparedRoot> prepare_root(const Config& config) {
    PreparedRoot prepared;
    // In a user namespace the container's root may not reach what the host's may.
    const bool in_creator = config.find_namespace(CLONE_NEWUSER) != nullptr && ::geteuid() == 0;
    if (in_creator) {
        auto root = copy_for_container(config, config.root_path, true);
        if (!root) {
            return std::unexpected(root.error());
        }
        prepared.root = std::move(*root);
    }
    for (const Mount& mount : config.mounts) {
        auto options = parse_mount_options(mount);
        if (!options) {
            return std::unexpected(options.error());
        }
        prepared.mounts.push_back({.options = std::move(*options), .source = {}});
        if (auto done = prepare_mount(config, mount, prepared.mounts.back(), in_creator); !done) {
            return std::unexpected(done.error());
        }
    }
    return prepared;
}

} // namespace strata::container
