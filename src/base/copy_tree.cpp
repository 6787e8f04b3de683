#include "base/copy_tree.hpp"

#include "base/file_descriptor.hpp"

#include <array>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <memory>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <utility>
#include <vector>

namespace strata {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};

class Copier {
public:
    Result<void> copy_content(int from, int to) {
        const int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const std::unique_ptr<DIR, CloseDirectory> stream(again >= 0 ? fdopendir(again) : nullptr);
        if (!stream) {
            return fail_errno("read", "a directory");
        }
        while (const dirent* entry = readdir(stream.get())) {
            const std::string name = entry->d_name;
            if (name != "." && name != "..") {
                if (auto copied = copy(from, to, name); !copied) {
                    return copied;
                }
            }
        }
        return {};
    }

private:
    Result<void> copy(int from, int to, const std::string& name) {
        struct stat status{};
        if (fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return fail_errno("look at", name);
        }
        const auto identity = std::pair(status.st_dev, status.st_ino);
        if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
            if (const auto known = links_.find(identity); known != links_.end()) {
                return linkat(AT_FDCWD, known->second.c_str(), to, name.c_str(), 0) == 0
                           ? Result<void>{}
                           : fail_errno("link", name);
            }
            links_[identity] = path_of(to) + "/" + name;
        }
        auto made = make(from, to, name, status);
        if (!made) {
            return made;
        }
        const timespec times[] = {status.st_atim, status.st_mtim};
        if (fchownat(to, name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0 ||
            (!S_ISLNK(status.st_mode) && fchmodat(to, name.c_str(), status.st_mode & 07777U, 0) != 0)) {
            return fail_errno("set the owner of", name);
        }
        copy_attributes(from, to, name);
        utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
        return {};
    }

    Result<void> make(int from, int to, const std::string& name, const struct stat& status) {
        if (S_ISDIR(status.st_mode)) {
            const FileDescriptor source(
                openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (!source || mkdirat(to, name.c_str(), 0700) != 0) {
                return fail_errno("copy directory", name);
            }
            const FileDescriptor target(
                openat(to, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            return target ? copy_content(source.get(), target.get()) : fail_errno("copy directory", name);
        }
        if (S_ISLNK(status.st_mode)) {
            std::array<char, 4096> text{};
            const auto size = readlinkat(from, name.c_str(), text.data(), text.size() - 1);
            return size >= 0 && symlinkat(text.data(), to, name.c_str()) == 0 ? Result<void>{}
                                                                              : fail_errno("copy link", name);
        }
        if (!S_ISREG(status.st_mode)) {
            return S_ISSOCK(status.st_mode) || mknodat(to, name.c_str(), status.st_mode, status.st_rdev) == 0
                       ? Result<void>{}
                       : fail_errno("copy", name);
        }
        return copy_file(from, to, name);
    }

    static Result<void> copy_file(int from, int to, const std::string& name) {
        const FileDescriptor source(openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        const FileDescriptor target(openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!source || !target) {
            return fail_errno("copy", name);
        }
        constexpr std::size_t most = 1U << 30;
        for (ssize_t done = 1; done != 0;) {
            done = copy_file_range(source.get(), nullptr, target.get(), nullptr, most, 0);
            if (done < 0) {
                return copy_by_hand(source.get(), target.get(), name);
            }
        }
        return {};
    }

    // Between file systems that the kernel does not copy between.
    static Result<void> copy_by_hand(int source, int target, const std::string& name) {
        std::vector<char> buffer(256U << 10);
        for (ssize_t got = 0; (got = read(source, buffer.data(), buffer.size())) != 0;) {
            if (got < 0 || write(target, buffer.data(), static_cast<std::size_t>(got)) != got) {
                return fail_errno("copy", name);
            }
        }
        return {};
    }

    static std::string path_of(int directory) {
        std::array<char, 4096> path{};
        const auto link = "/proc/self/fd/" + std::to_string(directory);
        return readlink(link.c_str(), path.data(), path.size() - 1) > 0 ? path.data() : "";
    }

    static void copy_attributes(int from, int to, const std::string& name) {
        const auto source = "/proc/self/fd/" + std::to_string(from) + "/" + name;
        const auto target = "/proc/self/fd/" + std::to_string(to) + "/" + name;
        std::array<char, 16384> names{}, value{};
        const auto size = llistxattr(source.c_str(), names.data(), names.size());
        for (ssize_t at = 0; at < size;) {
            const std::string key = names.data() + at;
            at += static_cast<ssize_t>(key.size()) + 1;
            const auto length = lgetxattr(source.c_str(), key.c_str(), value.data(), value.size());
            if (length >= 0 && !key.starts_with("trusted.overlay.") && !key.starts_with("user.overlay.")) {
                lsetxattr(target.c_str(), key.c_str(), value.data(), static_cast<std::size_t>(length), 0);
            }
        }
    }

    std::map<std::pair<dev_t, ino_t>, std::string>
        links_{}; // where files with more than one name were copied to
};

} // namespace

Result<void> copy_tree(int source, const std::string& target) {
    const FileDescriptor directory(open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        return fail_errno("open directory", target);
    }
    return Copier().copy_content(source, directory.get());
}

} // namespace strata
