#include "container/mounts/devices.hpp"

#include "container/mounts/mount.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace strata::container {
namespace {

bool is_device(int directory, const char* name, mode_t type, dev_t number) {
    struct stat info{};
    return ::fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 &&
           (info.st_mode & S_IFMT) == type && (type == S_IFIFO || info.st_rdev == number);
}

Result<void> bind_device(const RootDirectory& root, const Device& device) {
    const FileDescriptor host(::open(device.path.c_str(), O_PATH | O_CLOEXEC));
    if (!host || !is_device(host.get(), "", device.type, makedev(device.major, device.minor))) {
        return fail("cannot make device " + device.path + ": nor is it one that the host has");
    }
    auto copy = copy_mount(host.get(), "", false);
    if (!copy) {
        return std::unexpected(copy.error());
    }
    const auto place = root.make_file(device.path, 0);
    if (!place) {
        return std::unexpected(place.error());
    }
    return attach_mount(copy->get(), place->get(), device.path);
}

Result<void> make_device(const RootDirectory& root, const Device& device) {
    const auto [parent, name] = split_path(device.path);
    const auto directory = root.make_directory(parent);
    if (!directory) {
        return std::unexpected(directory.error());
    }
    const dev_t number = makedev(device.major, device.minor);
    // What the image has by this name may be anything; the device takes its place.
    if (!is_device(directory->get(), name.c_str(), device.type, number)) {
        ::unlinkat(directory->get(), name.c_str(), 0);
        if (::mknodat(directory->get(), name.c_str(), device.type | device.mode, number) != 0) {
            return errno == EPERM || errno == EACCES ? bind_device(root, device)
                                                     : fail_errno("make device", device.path);
        }
    }
    // The umask has no say in it.
    if (::fchownat(directory->get(), name.c_str(), device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0 ||
        ::fchmodat(directory->get(), name.c_str(), device.mode, 0) != 0) {
        return errno == EROFS ? Result<void>{} : fail_errno("set the owner of", device.path);
    }
    return {};
}

} // namespace

const std::vector<Device>& default_devices() {
    static const std::vector<Device> devices{
        {.path = "/dev/null", .type = S_IFCHR, .major = 1, .minor = 3},
        {.path = "/dev/zero", .type = S_IFCHR, .major = 1, .minor = 5},
        {.path = "/dev/full", .type = S_IFCHR, .major = 1, .minor = 7},
        {.path = "/dev/random", .type = S_IFCHR, .major = 1, .minor = 8},
        {.path = "/dev/urandom", .type = S_IFCHR, .major = 1, .minor = 9},
        {.path = "/dev/tty", .type = S_IFCHR, .major = 5, .minor = 0}};
    return devices;
}

Result<void> make_devices(const RootDirectory& root, const std::vector<Device>& devices) {
    // An image whose /dev is a symbolic link would have the devices elsewhere.
    if (const auto dev = root.open_at("/dev", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
        !dev && dev.error().code != ENOENT) {
        return fail("/dev in the container's root is not a directory", "mount a tmpfs there");
    }
    for (const Device& device : default_devices()) {
        if (std::ranges::find(devices, device.path, &Device::path) == devices.end()) {
            if (auto made = make_device(root, device); !made) {
                return made;
            }
        }
    }
    for (const Device& device : devices) {
        if (device.path == "/dev/ptmx") {
            continue; // its own pts' multiplexer: a link, see below
        }
        if (auto made = make_device(root, device); !made) {
            return made;
        }
    }
    return {};
}

Result<void> make_device_links(const RootDirectory& root) {
    static constexpr std::pair<const char*, const char*> links[] = {{"fd", "/proc/self/fd"},
                                                                    {"stdin", "/proc/self/fd/0"},
                                                                    {"stdout", "/proc/self/fd/1"},
                                                                    {"stderr", "/proc/self/fd/2"},
                                                                    {"core", "/proc/kcore"}};
    const auto dev = root.make_directory("/dev");
    if (!dev) {
        return std::unexpected(dev.error());
    }
    for (const auto& [name, target] : links) {
        const bool wanted = std::string_view(name) != "core" || ::access("/proc/kcore", F_OK) == 0;
        if (wanted && ::symlinkat(target, dev->get(), name) != 0 && errno != EEXIST) {
            return fail_errno("link", std::string("/dev/") + name);
        }
    }
    if (::unlinkat(dev->get(), "ptmx", 0) != 0 && errno != ENOENT) {
        return fail_errno("replace", "/dev/ptmx");
    }
    if (::symlinkat("pts/ptmx", dev->get(), "ptmx") != 0) {
        return fail_errno("link", "/dev/ptmx");
    }
    return {};
}

Result<FileDescriptor> copy_null_device() {
    const FileDescriptor null(::open("/dev/null", O_PATH | O_CLOEXEC));
    if (!null || !is_device(null.get(), "", S_IFCHR, makedev(1, 3))) {
        return fail("the host's /dev/null is not the null device");
    }
    return copy_mount(null.get(), "", false);
}

} // namespace strata::container
