#include "container/mounts/mount.hpp"

#include "container/kernel/system_calls.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

// The kernel's word for what was wrong with a parameter, if it left one in the context's log.
std::string kernel_message(int context) {
    char text[256];
    const auto count = ::read(context, text, sizeof text);
    return count > 2 ? ": " + std::string(text + 2, static_cast<std::size_t>(count) - 2) : "";
}

std::unexpected<Error> refuse(const std::string& action, const Mount& mount, int context, int code) {
    auto error = fail_errno(action, mount.type + " for " + mount.destination, code);
    error.error().message += kernel_message(context);
    return error;
}

Result<void> configure(int context, const Mount& mount, const std::string& parameter) {
    const auto equals = parameter.find('=');
    const std::string key = parameter.substr(0, equals);
    const int status =
        equals == std::string::npos
            ? ::fsconfig(context, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
            : ::fsconfig(context, FSCONFIG_SET_STRING, key.c_str(), parameter.c_str() + equals + 1, 0);
    if (status != 0) {
        return refuse("use option '" + parameter + "' of", mount, context, errno);
    }
    return {};
}

} // namespace

bool is_directory(int fd) {
    struct stat info{};
    return ::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

Result<FileDescriptor> make_filesystem(const Mount& mount, const MountOptions& options,
                                       const std::string& label) {
    const FileDescriptor context(::fsopen(mount.type.c_str(), FSOPEN_CLOEXEC));
    if (!context) {
        return fail_errno("mount", mount.type + " for " + mount.destination, errno,
                          errno == ENODEV ? "the kernel has no file system of that name" : "");
    }
    std::vector<std::string> parameters = options.superblock_flags;
    if (!mount.source.empty()) {
        parameters.push_back("source=" + mount.source);
    }
    for (const auto& item : options.data) {
        // One word may hold several, as in a line of fstab.
        for (std::size_t start = 0; start <= item.size();) {
            const auto end = std::min(item.find(',', start), item.size());
            if (end > start) {
                parameters.push_back(item.substr(start, end - start));
            }
            start = end + 1;
        }
    }
    if (!label.empty()) {
        parameters.push_back("context=" + label);
    }
    if ((options.set & MOUNT_ATTR_RDONLY) != 0 && !options.copy_up) {
        parameters.emplace_back("ro");
    }
    for (const auto& parameter : parameters) {
        if (auto done = configure(context.get(), mount, parameter); !done) {
            return std::unexpected(done.error());
        }
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return refuse("mount", mount, context.get(), errno);
    }
    // copy_up still writes: the attribute comes afterwards.
    const auto attributes = options.copy_up ? options.set & ~std::uint64_t{MOUNT_ATTR_RDONLY} : options.set;
    FileDescriptor made(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
    if (!made) {
        return refuse("mount", mount, context.get(), errno);
    }
    return made;
}

Result<FileDescriptor> copy_mount(int directory, const std::string& path, bool recursive) {
    FileDescriptor copy(::open_tree(directory, path.c_str(),
                                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                                        static_cast<unsigned>(recursive ? AT_RECURSIVE : 0)));
    if (!copy) {
        return fail_errno("bind", path.empty() ? "a mount" : path);
    }
    return copy;
}

Result<void> set_attributes(int mount_fd, const MountOptions& options, int user_namespace,
                            const std::string& destination) {
    const auto change = [&](std::uint64_t set, std::uint64_t clear, int name_space, unsigned flags) {
        mount_attr attributes{.attr_set = set, .attr_clr = clear, .propagation = 0, .userns_fd = 0};
        if (name_space >= 0) {
            attributes.attr_set |= MOUNT_ATTR_IDMAP;
            attributes.userns_fd = static_cast<std::uint64_t>(name_space);
        }
        return ::mount_setattr(mount_fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes) == 0;
    };
    if (user_namespace >= 0 && !change(0, 0, user_namespace, options.recursive_idmap ? AT_RECURSIVE : 0)) {
        return fail_errno("map", "the IDs of mount " + destination, errno,
                          "the file system must support ID-mapped mounts, and the kernel be 5.12 or newer");
    }
    if ((options.set_recursive | options.clear_recursive) != 0 &&
        !change(options.set_recursive, options.clear_recursive, -1, AT_RECURSIVE)) {
        return fail_errno("set", "the recursive options of mount " + destination);
    }
    if ((options.set | options.clear) != 0 && !change(options.set, options.clear, -1, 0)) {
        return fail_errno("set", "the options of mount " + destination);
    }
    return {};
}

Result<void> attach_mount(int mount_fd, int target, const std::string& destination) {
    if (::move_mount(mount_fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
        return fail_errno("mount", "on " + destination);
    }
    return {};
}

Result<void> set_propagation(int mount_fd, unsigned long propagation, const std::string& destination) {
    mount_attr attributes{.attr_set = 0, .attr_clr = 0, .propagation = propagation & ~MS_REC, .userns_fd = 0};
    const unsigned flags = AT_EMPTY_PATH | ((propagation & MS_REC) != 0 ? AT_RECURSIVE : 0);
    if (::mount_setattr(mount_fd, "", flags, &attributes, sizeof attributes) != 0) {
        return fail_errno("set", "the propagation of mount " + destination);
    }
    return {};
}

Result<FileDescriptor> make_mount_point(const RootDirectory& root, const std::string& destination,
                                        bool directory) {
    return directory ? root.make_directory(destination) : root.make_file(destination);
}

} // namespace strata::container
