#include "container/mounts/cgroup_view.hpp"

#include "container/mounts/mount.hpp"

#include <fcntl.h>
#include <sys/mount.h>

namespace strata::container {
namespace {

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<FileDescriptor> bind_directory(const std::string& path, const MountOptions& options) {
    auto copy = copy_mount(AT_FDCWD, path, true);
    if (!copy) {
        return copy;
    }
    if (auto set = set_attributes(copy->get(), options, -1, path); !set) {
        return std::unexpected(set.error());
    }
    return copy;
}

Mount filesystem(const std::string& type, const std::string& destination, std::vector<std::string> options) {
    return {.destination = destination,
            .type = type,
            .source = type,
            .options = std::move(options),
            .uid_mappings = {},
            .gid_mappings = {}};
}

Result<FileDescriptor> make(const Mount& mount, const MountOptions& flags) {
    auto options = parse_mount_options(mount);
    if (!options) {
        return std::unexpected(options.error());
    }
    options->set |= flags.set;
    return make_filesystem(mount, *options, "");
}

Result<FileDescriptor> open_unified(const Mount& mount, const MountOptions& options, const CgroupView& view) {
    auto made = make(filesystem("cgroup2", mount.destination, {}), options);
    // A user namespace without a cgroup namespace of its own may not mount it, and may bind it.
    return made || view.own_namespace ? std::move(made)
                                      : bind_directory(view.host.unified.front().mount_point, options);
}

Result<FileDescriptor> open_v1(const CgroupHierarchy& hierarchy, const std::string& destination,
                               const MountOptions& options, const CgroupView& view) {
    if (view.own_namespace) {
        std::vector<std::string> words = hierarchy.controllers;
        if (words.front().starts_with("name=")) {
            words.insert(words.begin(), "none");
        }
        if (auto made = make(filesystem("cgroup", destination, words), options)) {
            return made;
        }
    }
    const auto path = view.cgroup.paths().find(hierarchy.controllers.front());
    return path != view.cgroup.paths().end()
               ? bind_directory(path->second, options)
               : fail("the container has no cgroup of " + hierarchy.controllers.front());
}

Result<void> mount_hierarchy(const RootDirectory& root, const std::string& destination,
                             const CgroupHierarchy& hierarchy, const MountOptions& options,
                             const CgroupView& view) {
    const std::string name = base_name(hierarchy.mount_point);
    const auto opened = open_v1(hierarchy, destination + "/" + name, options, view);
    if (!opened) {
        return std::unexpected(opened.error());
    }
    const auto place = root.make_directory(destination + "/" + name);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (auto attached = attach_mount(opened->get(), place->get(), destination + "/" + name); !attached) {
        return attached;
    }
    // "cpu,cpuacct" is found as cpu and as cpuacct too.
    const auto above = root.make_directory(destination);
    for (const auto& controller : hierarchy.controllers) {
        if (hierarchy.controllers.size() > 1 && controller != name) {
            (void)!::symlinkat(name.c_str(), above->get(), controller.c_str());
        }
    }
    return {};
}

} // namespace

Result<void> mount_cgroups(const RootDirectory& root, const Mount& mount, const MountOptions& options,
                           const CgroupView& view) {
    const auto place = make_mount_point(root, mount.destination, true);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (view.host.v1.empty()) {
        if (view.host.unified.empty()) {
            return fail("mount " + mount.destination + ": this host has no cgroups mounted");
        }
        const auto opened = open_unified(mount, options, view);
        return opened ? attach_mount(opened->get(), place->get(), mount.destination)
                      : std::unexpected(opened.error());
    }
    const auto top =
        make(filesystem("tmpfs", mount.destination, {"mode=755", "noexec", "nosuid", "nodev"}), {});
    if (!top) {
        return std::unexpected(top.error());
    }
    if (auto attached = attach_mount(top->get(), place->get(), mount.destination); !attached) {
        return attached;
    }
    for (const auto& hierarchy : view.host.v1) {
        if (auto done = mount_hierarchy(root, mount.destination, hierarchy, options, view); !done) {
            return done;
        }
    }
    MountOptions read_only;
    read_only.set = options.set & MOUNT_ATTR_RDONLY;
    return set_attributes(top->get(), read_only, -1, mount.destination);
}

} // namespace strata::container
