#include "instance/root_access.hpp"

#include "base/copy_tree.hpp"
#include "image/layer/tree_archive.hpp"
#include "image/layer/unpack.hpp"
#include "image/privileges.hpp"
#include "instance/layer_copy.hpp"
#include "instance/root_filesystem.hpp"

#include <algorithm>
#include <array>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <memory>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

namespace strata::instance {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};

std::string base_of(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
    return path.substr(path.rfind('/') + 1);
}

std::pair<std::string, std::string> split(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
    const auto slash = path.rfind('/');
    return slash == std::string::npos
               ? std::pair(std::string("."), path)
               : std::pair(slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1));
}

bool is_directory(int fd) {
    struct stat status{};
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

// Copies what `source` is to `name` in `directory`; a directory with what is in it.
Result<void> copy_to(int source, int directory, const std::string& name) {
    struct stat status{};
    if (fstat(source, &status) != 0) {
        return fail_errno("look at", name);
    }
    if (S_ISDIR(status.st_mode)) {
        if (mkdirat(directory, name.c_str(), status.st_mode & 07777U) != 0 && errno != EEXIST) {
            return fail_errno("make directory", name);
        }
        return copy_tree(source, fmt::format("/proc/self/fd/{}/{}", directory, name));
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(fmt::format("{} is neither a file nor a directory", name));
    }
    unlinkat(directory, name.c_str(), 0);
    const FileDescriptor target(openat(directory, name.c_str(),
                                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                       status.st_mode & 07777U));
    if (!target || fchown(target.get(), status.st_uid, status.st_gid) != 0) {
        return fail_errno("write", name);
    }
    std::array<char, 65536> buffer{};
    for (ssize_t got = 0; (got = read(source, buffer.data(), buffer.size())) != 0;) {
        if (got < 0 || write(target.get(), buffer.data(), static_cast<std::size_t>(got)) != got) {
            return fail_errno("copy", name);
        }
    }
    return fchmod(target.get(), status.st_mode & 07777U) == 0 ? Result<void>{} : fail_errno("write", name);
}

bool is_opaque(const std::string& path) {
    char value = 0;
    return (lgetxattr(path.c_str(), "trusted.overlay.opaque", &value, 1) == 1 ||
            lgetxattr(path.c_str(), "user.overlay.opaque", &value, 1) == 1) &&
           value == 'y';
}

class Comparison {
public:
    explicit Comparison(const std::vector<std::string>& layers) : layers_(layers) {}

    void compare(const std::string& upper, const std::string& path, bool hidden) {
        const std::unique_ptr<DIR, CloseDirectory> stream(opendir((upper + path).c_str()));
        if (!stream) {
            return;
        }
        std::vector<std::string> names;
        while (const dirent* entry = readdir(stream.get())) {
            names.emplace_back(entry->d_name);
        }
        std::ranges::sort(names);
        for (const auto& name : names) {
            struct stat status{};
            const auto inner = path + "/" + name;
            const auto full = upper + inner;
            if (name == "." || name == ".." || lstat(full.c_str(), &status) != 0) {
                continue;
            }
            if (S_ISCHR(status.st_mode) && status.st_rdev == 0) {
                found.emplace_back('D', inner);
                continue;
            }
            const bool known = !hidden && below(inner);
            found.emplace_back(known ? 'C' : 'A', inner);
            if (S_ISDIR(status.st_mode)) {
                compare(upper, inner, !known || is_opaque(full));
            }
        }
    }

    std::vector<std::pair<char, std::string>> found{};

private:
    [[nodiscard]] bool below(const std::string& path) const {
        struct stat status{};
        return std::ranges::any_of(
            layers_, [&](const auto& layer) { return lstat((layer + path).c_str(), &status) == 0; });
    }

    const std::vector<std::string>& layers_;
};

} // namespace

Result<FileDescriptor> open_root(const Instances& instances, const Instance& instance) {
    std::string path;
    if (instance.alive()) {
        path = fmt::format("/proc/{}/root", instance.pid);
    } else {
        if (auto hidden = hide_mounts(); !hidden) {
            return std::unexpected(hidden.error());
        }
        auto root = mount_root(instances, instance);
        if (!root && root.error().code == needs_copy) {
            const auto copied = copy_layers(instances, instance);
            root = copied ? mount_root(instances, instance) : std::unexpected(copied.error());
        }
        if (!root) {
            return std::unexpected(root.error());
        }
        path = std::move(*root);
    }
    FileDescriptor root(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        return fail_errno("open the root of container", instance.name);
    }
    return root;
}

Result<FileDescriptor> open_inside(int root, const std::string& path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    FileDescriptor file(
        static_cast<int>(syscall(SYS_openat2, root, path.empty() ? "/" : path.c_str(), &how, sizeof how)));
    if (!file) {
        return fail_errno("open, in the container,", path);
    }
    return file;
}

Result<void> copy_out(int root, const std::string& source, const std::string& target) {
    const auto file = open_inside(root, source, O_RDONLY | O_NONBLOCK);
    if (!file) {
        return std::unexpected(file.error());
    }
    const FileDescriptor existing(open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (existing && source.ends_with("/.") && is_directory(file->get())) {
        return copy_tree(file->get(), target);
    }
    if (existing) {
        return copy_to(file->get(), existing.get(), base_of(source));
    }
    const auto [above, name] = split(target);
    const FileDescriptor parent(open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return parent ? copy_to(file->get(), parent.get(), name) : fail_errno("open directory", above);
}

Result<void> copy_in(int root, const std::string& source, const std::string& target) {
    const FileDescriptor file(open(source.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        return fail_errno("open", source);
    }
    if (const auto existing = open_inside(root, target, O_RDONLY | O_DIRECTORY)) {
        if (source.ends_with("/.") && is_directory(file.get())) {
            return copy_tree(file.get(), fmt::format("/proc/self/fd/{}", existing->get()));
        }
        return copy_to(file.get(), existing->get(), base_of(source));
    }
    const auto [above, name] = split(target);
    const auto parent = open_inside(root, above, O_RDONLY | O_DIRECTORY);
    return parent ? copy_to(file.get(), parent->get(), name) : std::unexpected(parent.error());
}

Result<void> archive_out(int root, const std::string& source, image::TarWriter& tar) {
    const auto [above, name] = split(source);
    const bool content = name == "." || name.empty() || name == "/";
    const auto directory = open_inside(root, content ? source : above, O_RDONLY | O_DIRECTORY);
    if (!directory) {
        return std::unexpected(directory.error());
    }
    return content ? image::archive_tree(directory->get(), tar)
                   : image::archive_one(directory->get(), name, tar);
}

Result<void> archive_in(int root, image::Source source, const std::string& target) {
    const auto directory = open_inside(root, target, O_RDONLY | O_DIRECTORY);
    if (!directory) {
        return std::unexpected(directory.error());
    }
    return image::unpack_archive(directory->get(), std::move(source), "archive",
                                 {.whiteouts = image::Whiteouts::none,
                                  .owners = image::is_privileged(),
                                  .devices = !image::in_user_namespace()});
}

Result<void> knows_changes(const Instance& instance) {
    if (!instance.settings.rootfs.empty()) {
        return fail(
            fmt::format("container {} runs in a directory of the host, which has no image to compare with",
                        instance.name));
    }
    return {};
}

Result<Changes> changes(const Instances& instances, const Instance& instance) {
    if (auto known = knows_changes(instance); !known) {
        return std::unexpected(known.error());
    }
    if (is_copied(instances, instance)) {
        return compare_files(copy_of_layers(instances, instance), list_of_copy(instances, instance));
    }
    Comparison comparison(instance.settings.layers);
    comparison.compare(instances.path(instance, "upper"), "", false);
    return std::move(comparison.found);
}

Result<void> archive_changes(const Instances& instances, const Instance& instance, image::TarWriter& tar) {
    const bool copied = is_copied(instances, instance);
    const auto path = copied ? copy_of_layers(instances, instance) : instances.path(instance, "upper");
    const FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        return fail_errno("open directory", path);
    }
    if (!copied) {
        return image::archive_tree(directory.get(), tar);
    }
    const auto found = changes(instances, instance);
    return found ? image::archive_changes(directory.get(), *found, tar) : std::unexpected(found.error());
}

} // namespace strata::instance
