#include "container/kernel/root_directory.hpp"

#include "container/kernel/system_calls.hpp"

#include <climits>
#include <fcntl.h>
#include <sys/stat.h>

namespace strata::container {
namespace {

// The kernel gives up with EAGAIN when a directory is renamed meanwhile; an attacker may do so without end.
constexpr int most_attempts = 64;

int open_inside(int directory, const char* path, int flags, std::uint64_t resolve) {
    const open_how how{.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC),
                       .mode = 0,
                       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    int fd = -1;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        fd = sys::openat2(directory, path, how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    return fd;
}

} // namespace

SplitPath split_path(const std::string& path) {
    const auto end = path.find_last_not_of('/');
    if (end == std::string::npos) {
        return {"/", ""};
    }
    const auto slash = path.rfind('/', end);
    if (slash == std::string::npos) {
        return {"/", path.substr(0, end + 1)};
    }
    return {path.substr(0, slash == 0 ? 1 : slash), path.substr(slash + 1, end - slash)};
}

Result<RootDirectory> RootDirectory::open(const std::string& path) {
    FileDescriptor fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return fail_errno("open", "the container's root " + path);
    }
    return RootDirectory(std::move(fd));
}

Result<FileDescriptor> RootDirectory::open_at(const std::string& path, int flags,
                                              std::uint64_t resolve) const {
    FileDescriptor fd(open_inside(directory_.get(), path.c_str(), flags, resolve));
    if (!fd) {
        return fail_errno("open", path + " in the container's root");
    }
    return fd;
}

Result<FileDescriptor> RootDirectory::make_directory(const std::string& path, mode_t mode, int links) const {
    auto found = open_at(path, O_PATH | O_DIRECTORY);
    if (found || found.error().code != ENOENT) {
        return found;
    }
    const auto [parent_path, name] = split_path(path);
    if (name.empty()) {
        return found;
    }
    const auto parent = make_directory(parent_path, 0755, links);
    if (!parent) {
        return std::unexpected(parent.error());
    }
    if (::mkdirat(parent->get(), name.c_str(), mode) != 0 && errno != EEXIST) {
        return fail_errno("make directory", path + " in the container's root");
    }
    found = open_at(path, O_PATH | O_DIRECTORY);
    if (found || found.error().code != ENOENT || links == 0) {
        return found;
    }
    // A link to what is not there yet (/var/run to /run): made where it leads, inside the root as ever.
    char target[PATH_MAX];
    const auto size = ::readlinkat(parent->get(), name.c_str(), target, sizeof target - 1);
    if (size <= 0) {
        return found;
    }
    target[size] = '\0';
    return make_directory(target[0] == '/' ? target : parent_path + "/" + target, mode, links - 1);
}

Result<FileDescriptor> RootDirectory::make_file(const std::string& path, mode_t mode) const {
    auto found = open_at(path, O_PATH);
    if (found || found.error().code != ENOENT) {
        return found;
    }
    const auto [parent_path, name] = split_path(path);
    const auto parent = make_directory(parent_path, 0755);
    if (!parent) {
        return std::unexpected(parent.error());
    }
    // A file of any other kind at this name is opened without harm by O_PATH below.
    const FileDescriptor made(
        ::openat(parent->get(), name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!made && errno != EEXIST) {
        return fail_errno("make file", path + " in the container's root");
    }
    return open_at(path, O_PATH);
}

} // namespace strata::container
