#include "container/kernel/companion.hpp"
#include "container/kernel/system_calls.hpp"
#include "container/mounts/mount.hpp"
#include "container/runtime.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace strata::container {
namespace {

// Set for the second run, to this program's directory; believed only if the executable bears it out.
constexpr auto marker = "_STRATA_PROTECTED";
constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool is_protected() {
    const FileDescriptor self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    struct statvfs info{};
    const bool read_only_mount = ::fstatvfs(self.get(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
    return read_only_mount || (::fcntl(self.get(), F_GET_SEALS) & all_seals) == all_seals;
}

// A mount of the executable alone, which is in no namespace: nobody can ever make it writable.
FileDescriptor read_only_mount() {
    auto copy = copy_mount(AT_FDCWD, "/proc/self/exe", false);
    if (!copy) {
        return {};
    }
    MountOptions options;
    options.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
    return set_attributes(copy->get(), options, -1, "the own executable") ? std::move(*copy)
                                                                          : FileDescriptor();
}

FileDescriptor sealed_copy() {
    const FileDescriptor self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    FileDescriptor copy(::memfd_create("strata-oci", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    struct stat info{};
    if (!self || !copy || ::fstat(self.get(), &info) != 0) {
        return {};
    }
    for (off_t left = info.st_size; left > 0;) {
        const auto count = ::sendfile(copy.get(), self.get(), nullptr, static_cast<std::size_t>(left));
        if (count <= 0) {
            return {};
        }
        left -= count;
    }
    return ::fcntl(copy.get(), F_ADD_SEALS, all_seals) == 0 ? std::move(copy) : FileDescriptor();
}

} // namespace

Result<void> protect_executable(char** argv) {
    if (const char* directory = std::getenv(marker)) {
        set_companion_directory(directory);
        ::unsetenv(marker);
        return is_protected()
                   ? Result<void>{}
                   : fail(std::string(marker) + " is set, and the executable is not protected", "unset it");
    }
    const std::string own_directory = companion_path("");
    for (auto* const make : {&read_only_mount, &sealed_copy}) {
        const FileDescriptor copy = make();
        if (copy) {
            ::setenv(marker, own_directory.c_str(), 1);
            ::execveat(copy.get(), "", argv, environ, AT_EMPTY_PATH);
            ::unsetenv(marker);
        }
    }
    return fail_errno("run", "a protected copy of the runtime");
}

} // namespace strata::container
