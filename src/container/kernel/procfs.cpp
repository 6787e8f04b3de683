#include "container/kernel/procfs.hpp"

#include "container/kernel/system_calls.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

namespace strata::container {
namespace {

FileDescriptor private_instance() {
    const FileDescriptor context(::fsopen("proc", FSOPEN_CLOEXEC));
    if (!context || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return {};
    }
    return FileDescriptor(
        ::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

bool is_procfs(int fd) {
    struct statfs info{};
    return ::fstatfs(fd, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

} // namespace

Result<Procfs> Procfs::open() {
    if (auto instance = private_instance()) {
        return Procfs(std::move(instance));
    }
    FileDescriptor directory(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory || !is_procfs(directory.get())) {
        return fail("/proc is not a procfs", "mount it: mount -t proc proc /proc");
    }
    return Procfs(std::move(directory));
}

Result<FileDescriptor> Procfs::open_at(const std::string& path, int flags) const {
    const open_how how{.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW),
                       .mode = 0,
                       .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
    FileDescriptor fd(sys::openat2(directory_.get(), path.c_str(), how));
    if (!fd) {
        return fail_errno("open", "/proc/" + path);
    }
    return fd;
}

Result<void> Procfs::write(const std::string& path, std::string_view text) const {
    const auto fd = open_at(path, O_WRONLY);
    if (!fd) {
        return std::unexpected(fd.error());
    }
    if (::write(fd->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return fail_errno("write", "/proc/" + path);
    }
    return {};
}

Result<std::string> Procfs::read(const std::string& path) const {
    const auto fd = open_at(path, O_RDONLY);
    if (!fd) {
        return std::unexpected(fd.error());
    }
    return read_descriptor(fd->get(), "/proc/" + path);
}

Result<std::string> read_descriptor(int fd, const std::string& name) {
    std::string text;
    char buffer[4096];
    while (true) {
        const auto count = ::read(fd, buffer, sizeof buffer);
        if (count == 0) {
            return text;
        }
        if (count < 0 && errno != EINTR) {
            return fail_errno("read", name);
        }
        text.append(buffer, count > 0 ? static_cast<std::size_t>(count) : 0);
    }
}

Result<std::string> read_text_at(int directory, const std::string& path, int flags) {
    const FileDescriptor fd(::openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC | flags));
    if (!fd) {
        return fail_errno("open", path);
    }
    return read_descriptor(fd.get(), path);
}

} // namespace strata::container
