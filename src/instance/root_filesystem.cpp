#include "instance/root_filesystem.hpp"

#include "base/file_descriptor.hpp"
#include "image/privileges.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace strata::instance {
namespace {

// Paths by descriptors are short, whatever the directories are called: mount(2) takes a page of options.
std::string by_descriptor(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

Result<FileDescriptor> open_path(const std::string& path) {
    FileDescriptor directory(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        return fail_errno("open directory", path, errno,
                          "the container's files are damaged: remove it (strata rm)");
    }
    return directory;
}

Result<void> mount_overlay(const Instances& instances, const Instance& instance, const std::string& root) {
    std::vector<FileDescriptor> directories;
    std::string lower;
    const auto& layers = instance.settings.layers;
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) { // the highest first
        auto directory = open_path(*layer);
        if (!directory) {
            return std::unexpected(directory.error());
        }
        lower += (lower.empty() ? "" : ":") + by_descriptor(directory->get());
        directories.push_back(std::move(*directory));
    }
    const auto upper = open_path(instances.path(instance, "upper")),
               work = open_path(instances.path(instance, "work"));
    if (!upper || !work) {
        return std::unexpected(upper ? work.error() : upper.error());
    }
    auto options = fmt::format("lowerdir={},upperdir={},workdir={}", lower, by_descriptor(upper->get()),
                               by_descriptor(work->get()));
    if (image::in_user_namespace()) {
        options += ",userxattr";
    }
    // A device in an image is none: those of /dev are the runtime's.
    if (mount("overlay", root.c_str(), "overlay", MS_NODEV, options.c_str()) != 0) {
        return fail_errno("mount the root of container", instance.name);
    }
    return {};
}

// The way without overlayfs.
Result<void> mount_copy(const Instances& instances, const Instance& instance, const std::string& root) {
    mount_attr no_devices{.attr_set = MOUNT_ATTR_NODEV, .attr_clr = 0, .propagation = 0, .userns_fd = 0};
    if (mount(copy_of_layers(instances, instance).c_str(), root.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        mount_setattr(AT_FDCWD, root.c_str(), 0, &no_devices, sizeof no_devices) != 0) {
        return fail_errno("mount the root of container", instance.name);
    }
    return {};
}

} // namespace

Result<void> hide_mounts() {
    if (unshare(CLONE_NEWNS) != 0) {
        return fail_errno("make", "a mount namespace");
    }
    // What the host mounts later is seen here; what is mounted here is not seen there.
    if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
        return fail_errno("separate", "the mounts of the container");
    }
    return {};
}

Result<std::string> mount_root(const Instances& instances, const Instance& instance) {
    if (!instance.settings.rootfs.empty()) {
        return instance.settings.rootfs;
    }
    const auto root = instances.path(instance, "root");
    auto mounted = is_copied(instances, instance) ? mount_copy(instances, instance, root)
                                                  : mount_overlay(instances, instance, root);
    if (!mounted && (mounted.error().code == ENODEV || mounted.error().code == EINVAL)) {
        mounted.error().code = needs_copy;
    }
    if (!mounted) {
        return std::unexpected(mounted.error());
    }
    return root;
}

std::string copy_of_layers(const Instances& instances, const Instance& instance) {
    return instances.path(instance, "flat");
}

std::string list_of_copy(const Instances& instances, const Instance& instance) {
    return instances.path(instance, "flat.list");
}

bool is_copied(const Instances& instances, const Instance& instance) {
    return access(copy_of_layers(instances, instance).c_str(), F_OK) == 0;
}

void unmount_root(const std::string& path) { umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }

} // namespace strata::instance
