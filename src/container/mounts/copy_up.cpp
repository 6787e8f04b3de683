#include "container/mounts/copy_up.hpp"

#include "base/file_descriptor.hpp"

#include <climits>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/sendfile.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

constexpr int deepest = 256;

Result<void> copy_tree(int source, int target, int depth);

Result<void> copy_owner(int fd, const struct stat& info, const std::string& name) {
    const timespec times[2]{info.st_atim, info.st_mtim};
    if (::fchown(fd, info.st_uid, info.st_gid) != 0 || ::fchmod(fd, info.st_mode & 07777) != 0 ||
        ::futimens(fd, times) != 0) {
        return fail_errno("copy", "the owner of " + name);
    }
    return {};
}

Result<void> copy_file(int source, int target, const std::string& name, const struct stat& info) {
    const FileDescriptor from(::openat(source, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    const FileDescriptor to(
        ::openat(target, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!from || !to) {
        return fail_errno("copy", name);
    }
    while (true) {
        const auto count = ::sendfile(to.get(), from.get(), nullptr, 1 << 20);
        if (count == 0) {
            return copy_owner(to.get(), info, name);
        }
        if (count < 0 && errno != EINTR) {
            return fail_errno("copy", name);
        }
    }
}

Result<void> copy_link(int source, int target, const std::string& name, const struct stat& info) {
    char text[PATH_MAX];
    const auto size = ::readlinkat(source, name.c_str(), text, sizeof text - 1);
    if (size < 0) {
        return fail_errno("copy", name);
    }
    text[size] = '\0';
    if (::symlinkat(text, target, name.c_str()) != 0 ||
        ::fchownat(target, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno("copy", name);
    }
    return {};
}

Result<void> copy_directory(int source, int target, const std::string& name, const struct stat& info,
                            int depth) {
    if (::mkdirat(target, name.c_str(), 0700) != 0) {
        return fail_errno("copy", name);
    }
    const FileDescriptor from(
        ::openat(source, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const FileDescriptor to(::openat(target, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!from || !to) {
        return fail_errno("copy", name);
    }
    if (auto copied = copy_tree(from.get(), to.get(), depth + 1); !copied) {
        return copied;
    }
    return copy_owner(to.get(), info, name);
}

Result<void> copy_entry(int source, int target, const std::string& name, int depth) {
    struct stat info{};
    if (::fstatat(source, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno("read", name);
    }
    switch (info.st_mode & S_IFMT) {
    case S_IFREG: return copy_file(source, target, name, info);
    case S_IFLNK: return copy_link(source, target, name, info);
    case S_IFDIR: return copy_directory(source, target, name, info, depth);
    default: return {};
    }
}

Result<void> copy_tree(int source, int target, int depth) {
    if (depth > deepest) {
        return fail("tmpcopyup: directories are nested deeper than " + std::to_string(deepest));
    }
    const int listed = ::openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, int (*)(DIR*)> list(listed >= 0 ? ::fdopendir(listed) : nullptr, &::closedir);
    if (!list) {
        return fail_errno("read", "a directory to copy");
    }
    while (const dirent* entry = ::readdir(list.get())) {
        const std::string name = entry->d_name;
        if (name == "." || name == "..") {
            continue;
        }
        if (auto copied = copy_entry(source, target, name, depth); !copied) {
            return copied;
        }
    }
    return {};
}

} // namespace

Result<void> copy_up(int source, int target) {
    struct stat info{};
    // `target` may be a mount that is open as a path only.
    const FileDescriptor directory(::openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fstat(source, &info) != 0) {
        return fail_errno("read", "the directory to copy");
    }
    if (auto copied = copy_tree(source, directory.get(), 0); !copied) {
        return copied;
    }
    return copy_owner(directory.get(), info, "the copied directory");
}

} // namespace strata::container
