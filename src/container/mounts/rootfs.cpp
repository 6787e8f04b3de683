#include "container/mounts/rootfs.hpp"

#include "container/kernel/system_calls.hpp"
#include "container/mounts/copy_up.hpp"
#include "container/mounts/devices.hpp"
#include "container/mounts/masks.hpp"
#include "container/mounts/mount.hpp"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

namespace strata::container {
namespace {

// The mount namespace is a copy of the host's: what happens here must not happen there.
Result<void> part_from_host(const Config& config) {
    const auto propagation = config.rootfs_propagation != 0 ? config.rootfs_propagation : MS_SLAVE | MS_REC;
    if (::mount(nullptr, "/", nullptr, propagation, nullptr) != 0) {
        return fail_errno("set", "the propagation of the root");
    }
    return {};
}

// The root's place: its own path, so that hooks find it there; or "/" where the path cannot be reached, or
// where a mount on it would reach the host.
Result<void> attach_root(const Config& config, int root) {
    const auto propagation = config.rootfs_propagation;
    const bool shared = propagation != 0 && ((propagation & MS_SHARED) != 0 || (propagation & MS_REC) == 0);
    if (!shared && ::move_mount(root, "", AT_FDCWD, config.root_path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) {
        return {};
    }
    if ((shared && ::mount(nullptr, "/", nullptr, MS_PRIVATE, nullptr) != 0) ||
        ::move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        return fail_errno("mount", "the container's root " + config.root_path);
    }
    return {};
}

bool is_below(const std::string& path, std::string_view directory) {
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// A tmpfs over a directory has its mode, unless another one is asked for.
void keep_mode(int directory, MountOptions& options) {
    const auto names_mode = [](const std::string& word) { return word.find("mode=") != std::string::npos; };
    struct stat info{};
    if (::fstat(directory, &info) == 0 && !std::ranges::any_of(options.data, names_mode)) {
        char text[16];
        std::snprintf(text, sizeof text, "mode=%o", info.st_mode & 07777);
        options.data.emplace_back(text);
    }
}

bool is_procfs(int fd) {
    struct statfs info{};
    return ::fstatfs(fd, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

// A bind over procfs could fake what the runtime, and any program, takes for the kernel's word.
Result<void> check_bind_on_proc(const std::string& destination, int source) {
    constexpr std::string_view harmless[] = {"/proc/cpuinfo",
                                             "/proc/diskstats",
                                             "/proc/meminfo",
                                             "/proc/stat",
                                             "/proc/swaps",
                                             "/proc/uptime",
                                             "/proc/loadavg",
                                             "/proc/slabinfo",
                                             "/proc/net/dev",
                                             "/proc/sys/kernel/ns_last_pid",
                                             "/proc/sys/crypto/fips_enabled"};
    if (!is_below(destination, "/proc") || std::ranges::find(harmless, destination) != std::end(harmless) ||
        is_procfs(source)) {
        return {};
    }
    return fail("mount " + destination + ": only a procfs may be mounted at /proc or below");
}

Result<FileDescriptor> make_or_bind_sysfs(const Mount& mount, const MountOptions& options,
                                          const std::string& label) {
    auto made = make_filesystem(mount, options, label);
    if (made || mount.type != "sysfs" || made.error().code != EPERM) {
        return made;
    }
    // A user namespace that shares the host's network may not mount sysfs, and may bind it.
    auto copy = copy_mount(AT_FDCWD, "/sys", true);
    if (!copy) {
        return copy;
    }
    MountOptions recursive = options;
    recursive.set_recursive |= options.set & ~std::uint64_t{MOUNT_ATTR__ATIME};
    recursive.set = recursive.clear = 0;
    auto set = set_attributes(copy->get(), recursive, -1, mount.destination);
    return set ? std::move(copy) : std::unexpected(set.error());
}

// The queues' file system is as old as the IPC namespace, and takes no label as an option any more. Where the
// policy gives its files no labels of their own there is none to give.
Result<void> label_root(int mount, const std::string& label, const std::string& destination) {
    const FileDescriptor root(::openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root || (::fsetxattr(root.get(), "security.selinux", label.data(), label.size(), 0) != 0 &&
                  errno != EOPNOTSUPP)) {
        return fail_errno("give the label of linux.mountLabel to", destination);
    }
    return {};
}

} // namespace

Result<Rootfs> Rootfs::build(const Config& config, PreparedRoot& prepared, const CgroupView& cgroups) {
    if (auto parted = part_from_host(config); !parted) {
        return std::unexpected(parted.error());
    }
    FileDescriptor root = std::move(prepared.root);
    if (!root) {
        auto copy = copy_mount(AT_FDCWD, config.root_path, true);
        if (!copy) {
            return fail("cannot use the container's root: " + copy.error().message);
        }
        root = std::move(*copy);
    }
    if (!is_directory(root.get())) {
        return fail("the container's root " + config.root_path + " is not a directory");
    }
    if (auto attached = attach_root(config, root.get()); !attached) {
        return std::unexpected(attached.error());
    }
    Rootfs rootfs(config, prepared, RootDirectory(std::move(root)));
    auto null = copy_null_device();
    if (!null) {
        return std::unexpected(null.error());
    }
    rootfs.null_ = std::move(*null);
    if (auto mounted = rootfs.mount_all(cgroups); !mounted) {
        return std::unexpected(mounted.error());
    }
    return rootfs;
}

Result<void> Rootfs::mount_all(const CgroupView& cgroups) {
    for (std::size_t i = 0; i < config_->mounts.size(); ++i) {
        if (auto mounted = mount_one(config_->mounts[i], prepared_->mounts[i], cgroups); !mounted) {
            return mounted;
        }
    }
    if (auto filled = fill_dev(); !filled) {
        return filled;
    }
    MountOptions read_only;
    read_only.set = MOUNT_ATTR_RDONLY;
    for (const FileDescriptor& mount : read_only_later_) {
        if (auto set = set_attributes(mount.get(), read_only, -1, "a tmpfs"); !set) {
            return set;
        }
    }
    return {};
}

Result<void> Rootfs::mount_one(const Mount& mount, PreparedMount& prepared, const CgroupView& cgroups) {
    if (prepared.options.bind) {
        return mount_bind(mount, prepared);
    }
    return mount.type == "cgroup" || mount.type == "cgroup2"
               ? mount_cgroups(root_, mount, prepared.options, cgroups)
               : mount_filesystem(mount, prepared.options);
}

Result<void> Rootfs::mount_filesystem(const Mount& mount, const MountOptions& given) {
    MountOptions options = given;
    const bool later = mount.type == "tmpfs" && (options.set & MOUNT_ATTR_RDONLY) != 0;
    if (later) {
        options.set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
    }
    if (const auto existing = root_.open_at(mount.destination, O_PATH | O_DIRECTORY); !existing) {
        options.copy_up = false; // nothing is there to copy
    } else if (mount.type == "tmpfs") {
        keep_mode(existing->get(), options);
    }
    const bool labelled = mount.type == "tmpfs" || mount.type == "devpts";
    auto made = make_or_bind_sysfs(mount, options, labelled ? config_->mount_label : "");
    if (!made) {
        return std::unexpected(made.error());
    }
    if (mount.type == "mqueue" && !config_->mount_label.empty()) {
        if (auto set = label_root(made->get(), config_->mount_label, mount.destination); !set) {
            return set;
        }
    }
    // An image could else have /proc as a link to a directory of its own.
    const bool kernel_view = mount.type == "proc" || mount.type == "sysfs";
    if (auto present = make_mount_point(root_, mount.destination, true); !present) {
        return std::unexpected(present.error());
    }
    const auto place =
        root_.open_at(mount.destination, O_PATH | O_DIRECTORY, kernel_view ? RESOLVE_NO_SYMLINKS : 0);
    if (!place) {
        return kernel_view ? fail("mount " + mount.destination + ": a " + mount.type +
                                  " must be mounted on a directory, not a link")
                           : Result<void>(std::unexpected(place.error()));
    }
    if (options.copy_up) {
        const auto hidden = root_.open_at(mount.destination, O_RDONLY | O_DIRECTORY);
        auto copied = hidden ? copy_up(hidden->get(), made->get()) : std::unexpected(hidden.error());
        if (!copied) {
            return copied;
        }
    }
    if (auto attached = attach_mount(made->get(), place->get(), mount.destination); !attached) {
        return attached;
    }
    for (const unsigned long propagation : options.propagation) {
        if (auto set = set_propagation(made->get(), propagation, mount.destination); !set) {
            return set;
        }
    }
    if (later) {
        read_only_later_.push_back(std::move(*made));
    }
    return {};
}

Result<void> Rootfs::mount_bind(const Mount& mount, PreparedMount& prepared) {
    const MountOptions& options = prepared.options;
    if (!prepared.source) {
        auto copy = copy_mount(AT_FDCWD, mount.source, options.recursive_bind);
        if (!copy) {
            return std::unexpected(copy.error());
        }
        prepared.source = std::move(*copy);
    }
    const int source = prepared.source.get();
    if (auto allowed = check_bind_on_proc(mount.destination, source); !allowed) {
        return allowed;
    }
    if (auto set = set_attributes(source, options, -1, mount.destination); !set) {
        return set;
    }
    const auto place = make_mount_point(root_, mount.destination, is_directory(source));
    if (!place) {
        return std::unexpected(place.error());
    }
    if (auto attached = attach_mount(source, place->get(), mount.destination); !attached) {
        return attached;
    }
    for (const unsigned long propagation : options.propagation) {
        if (auto set = set_propagation(source, propagation, mount.destination); !set) {
            return set;
        }
    }
    prepared.source.reset();
    return {};
}

Result<void> Rootfs::fill_dev() const {
    for (std::size_t i = 0; i < config_->mounts.size(); ++i) {
        if (config_->mounts[i].destination == "/dev" && prepared_->mounts[i].options.bind) {
            return {}; // the host's own
        }
    }
    if (auto made = make_devices(root_, config_->devices); !made) {
        return made;
    }
    return make_device_links(root_);
}

Result<void> Rootfs::enter(bool pivot) const {
    if (::fchdir(root_.fd()) != 0) {
        return fail_errno("enter", "the container's root");
    }
    if (!pivot) {
        if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || ::chroot(".") != 0 || ::chdir("/") != 0) {
            return fail_errno("move", "the container's root to /");
        }
        return {};
    }
    // A shared root cannot be pivoted to; seal() gives it the propagation that is wanted.
    if (config_->rootfs_propagation != 0) {
        if (auto set = set_propagation(root_.fd(), MS_PRIVATE, "/"); !set) {
            return set;
        }
    }
    const FileDescriptor old(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    // The old root ends on top of the new one, and goes from there; no directory is needed for it.
    if (sys::pivot_root(".", ".") != 0) {
        return fail_errno("pivot to", "the container's root", errno,
                          errno == EINVAL ? "a root on a ramfs (an initramfs) needs --no-pivot" : "");
    }
    if (::fchdir(old.get()) != 0 || ::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0 ||
        ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
        return fail_errno("leave", "the host's root");
    }
    return {};
}

Result<void> Rootfs::seal() const {
    if (config_->rootfs_propagation != 0) {
        if (auto set = set_propagation(root_.fd(), config_->rootfs_propagation & ~std::uint64_t{MS_REC}, "/");
            !set) {
            return set;
        }
    }
    if (config_->root_readonly) {
        MountOptions read_only;
        read_only.set = MOUNT_ATTR_RDONLY;
        if (auto set = set_attributes(root_.fd(), read_only, -1, "/"); !set) {
            return set;
        }
    }
    if (auto set = make_paths_read_only(root_, config_->readonly_paths); !set) {
        return set;
    }
    return mask_paths(root_, config_->masked_paths, null_.get(), config_->mount_label);
}

} // namespace strata::container
