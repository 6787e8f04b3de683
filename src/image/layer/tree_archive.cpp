#include "image/layer/tree_archive.hpp"

#include <algorithm>
#include <archive_entry.h>
#include <array>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <map>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <vector>

namespace strata::image {
namespace {

struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

using Entry = std::unique_ptr<archive_entry, FreeEntry>;

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};

bool is_overlays(std::string_view attribute) {
    return attribute.starts_with("trusted.overlay.") || attribute.starts_with("user.overlay.");
}

class Archiver {
public:
    // `deep`: directories with what is in them.
    explicit Archiver(TarWriter& tar, bool deep = true) : tar_(tar), is_deep_(deep) {}

    Result<void> add_content(int directory, const std::string& path) {
        const int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const std::unique_ptr<DIR, CloseDirectory> stream(again >= 0 ? fdopendir(again) : nullptr);
        if (!stream) {
            return fail_errno("read directory", path);
        }
        std::vector<std::string> names;
        while (const dirent* entry = readdir(stream.get())) {
            const std::string name = entry->d_name;
            if (name != "." && name != "..") {
                names.push_back(name);
            }
        }
        std::ranges::sort(names);
        for (const auto& name : names) {
            if (auto added = add(directory, path, name); !added) {
                return added;
            }
        }
        return {};
    }

    Result<void> add(int directory, const std::string& above, const std::string& name) {
        struct stat status{};
        if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno == ENOENT ? Result<void>{} : fail_errno("look at", above + name);
        }
        if (S_ISSOCK(status.st_mode)) {
            return {};
        }
        if (S_ISCHR(status.st_mode) && status.st_rdev == 0) {
            return tar_.add_file(above + ".wh." + name, "");
        }
        const auto path = above + name + (S_ISDIR(status.st_mode) ? "/" : "");
        const Entry entry(archive_entry_new());
        archive_entry_copy_stat(entry.get(), &status);
        archive_entry_set_pathname(entry.get(), path.c_str());
        archive_entry_unset_atime(entry.get()); // reading must not change the archive
        archive_entry_unset_ctime(entry.get());
        const auto identity = std::pair(status.st_dev, status.st_ino);
        if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
            const auto [first, is_new] = links_.try_emplace(identity, path);
            if (!is_new) {
                archive_entry_set_hardlink(entry.get(), first->second.c_str());
                archive_entry_set_size(entry.get(), 0);
                return tar_.begin_entry(entry.get());
            }
        }
        const bool opaque = add_attributes(directory, name, entry.get());
        if (S_ISLNK(status.st_mode)) {
            std::array<char, 4096> target{};
            if (readlinkat(directory, name.c_str(), target.data(), target.size() - 1) < 0) {
                return fail_errno("read link", path);
            }
            archive_entry_set_symlink(entry.get(), target.data());
        }
        if (S_ISREG(status.st_mode)) {
            return add_file(directory, name, path, entry.get(), static_cast<std::uint64_t>(status.st_size));
        }
        archive_entry_set_size(entry.get(), 0);
        auto added = tar_.begin_entry(entry.get());
        if (!added || !S_ISDIR(status.st_mode) || !is_deep_) {
            return added;
        }
        if (opaque) {
            if (added = tar_.add_file(path + ".wh..wh..opq", ""); !added) {
                return added;
            }
        }
        const FileDescriptor inner(
            openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        return inner ? add_content(inner.get(), path) : fail_errno("open directory", path);
    }

private:
    // A file that grows or shrinks meanwhile has, in the archive, the size it had at first.
    Result<void> add_file(int directory, const std::string& name, const std::string& path,
                          archive_entry* entry, std::uint64_t size) {
        const FileDescriptor file(openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (!file) {
            return fail_errno("open", path);
        }
        if (auto begun = tar_.begin_entry(entry); !begun) {
            return begun;
        }
        std::array<std::byte, 65536> buffer{};
        while (size > 0) {
            const auto got = read(file.get(), buffer.data(), std::min<std::uint64_t>(size, buffer.size()));
            if (got <= 0) {
                return got < 0 ? fail_errno("read", path) : fail(fmt::format("{} became shorter", path));
            }
            if (auto written = tar_.write(std::span(buffer).first(static_cast<std::size_t>(got))); !written) {
                return written;
            }
            size -= static_cast<std::uint64_t>(got);
        }
        return {};
    }

    // Whether it is a directory that hides what is below.
    static bool add_attributes(int directory, const std::string& name, archive_entry* entry) {
        const auto path = fmt::format("/proc/self/fd/{}/{}", directory, name);
        std::vector<char> names(65536), value(65536);
        bool opaque = false;
        const auto size = llistxattr(path.c_str(), names.data(), names.size());
        for (ssize_t at = 0; at < size;) {
            const std::string key = names.data() + at;
            at += static_cast<ssize_t>(key.size()) + 1;
            const auto length = lgetxattr(path.c_str(), key.c_str(), value.data(), value.size());
            if (length < 0) {
                continue;
            }
            if (is_overlays(key)) {
                opaque = opaque || (key.ends_with(".opaque") && length == 1 && value[0] == 'y');
            } else {
                archive_entry_xattr_add_entry(entry, key.c_str(), value.data(),
                                              static_cast<std::size_t>(length));
            }
        }
        return opaque;
    }

    TarWriter& tar_;
    bool is_deep_;
    std::map<std::pair<dev_t, ino_t>, std::string> links_{}; // the first name of files that have more
};

} // namespace

Result<void> archive_tree(int directory, TarWriter& tar) { return Archiver(tar).add_content(directory, ""); }

Result<void> archive_changes(int directory, const std::vector<std::pair<char, std::string>>& changes,
                             TarWriter& tar) {
    Archiver archiver(tar, false);
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    for (const auto& [kind, path] : changes) {
        const auto slash = path.rfind('/');
        const auto name = path.substr(slash + 1);
        const auto above = slash == 0 ? "" : path.substr(1, slash); // with its slash
        const FileDescriptor parent(static_cast<int>(
            syscall(SYS_openat2, directory, above.empty() ? "." : above.c_str(), &how, sizeof how)));
        if (!parent) {
            continue;
        }
        auto added =
            kind == 'D' ? tar.add_file(above + ".wh." + name, "") : archiver.add(parent.get(), above, name);
        if (!added) {
            return added;
        }
    }
    return {};
}

Result<void> archive_one(int directory, const std::string& name, TarWriter& tar) {
    struct stat status{};
    if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno("look at", name);
    }
    return Archiver(tar).add(directory, "", name);
}

} // namespace strata::image
