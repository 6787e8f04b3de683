#include "image/layer/unpacker.hpp"

#include "base/remove_tree.hpp"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <vector>

namespace strata::image {
namespace {

constexpr std::string_view whiteout_prefix = ".wh.", reserved_prefix = ".wh..wh.",
                           opaque_name = ".wh..wh..opq";

bool is_whiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == 0; }

// A descriptor's file by a path, for calls that take no descriptor of what is no file or directory.
std::string path_by(int directory, const std::string& name) {
    return fmt::format("/proc/self/fd/{}/{}", directory, name);
}

std::pair<std::string, std::string> split(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::pair(std::string{}, path)
                                      : std::pair(path.substr(0, slash), path.substr(slash + 1));
}

std::string joined(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

std::unexpected<Error> at(const std::string& path, Error error) {
    error.message = fmt::format("entry '{}': {}", path.substr(0, 300), error.message);
    return std::unexpected(std::move(error));
}

} // namespace

Result<void> Unpacker::unpack(TarReader& tar) {
    while (true) {
        const auto entry = tar.next();
        if (!entry) {
            return std::unexpected(entry.error());
        }
        if (*entry == nullptr) {
            return finish_directories();
        }
        if (++entries_ > options_.most_entries) {
            return fail(fmt::format("it has more than {} entries", options_.most_entries));
        }
        if (auto taken = take(*entry, tar); !taken) {
            const char* name = archive_entry_pathname(*entry);
            return at(name != nullptr ? name : "(unreadable)", taken.error());
        }
    }
}

Result<void> Unpacker::take(archive_entry* entry, TarReader& tar) {
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) {
        return fail("its name cannot be read");
    }
    const auto path = Tree::normalize(name);
    if (!path) {
        return std::unexpected(path.error());
    }
    if (options_.whiteouts == Whiteouts::none) {
        return make(entry, *path, tar);
    }
    const auto [above, base] = split(*path);
    if (above.starts_with(whiteout_prefix) ||
        above.find("/" + std::string(whiteout_prefix)) != std::string::npos) {
        return fail("it is below a whiteout");
    }
    if (base.starts_with(reserved_prefix) && base != opaque_name) {
        return {}; // AUFS's own files
    }
    if (base.starts_with(whiteout_prefix)) {
        return base == whiteout_prefix
                   ? fail("it is a whiteout of nothing")
                   : whiteout(above, base == opaque_name ? "" : base.substr(whiteout_prefix.size()));
    }
    return make(entry, *path, tar);
}

// `marked` is what lower layers' file of that name, in `above`, is hidden; empty for all of them.
Result<void> Unpacker::whiteout(const std::string& above, const std::string& marked) {
    if (marked == "." || marked == "..") {
        return fail("it marks a directory itself");
    }
    const bool bare = marked.empty();
    const auto place = tree_.place_of(joined(above, bare ? "x" : marked));
    if (!place) {
        return std::unexpected(place.error());
    }
    if (options_.whiteouts == Whiteouts::apply) {
        tree_.forget();
        return bare                                    ? clear_lower(above)
               : made_.contains(joined(above, marked)) ? clear_lower(joined(above, marked))
                                                       : remove_tree(place->directory, place->name);
    }
    if (bare) {
        return mark_opaque(place->directory);
    }
    if (mknodat(place->directory, place->name.c_str(), S_IFCHR, makedev(0, 0)) == 0) {
        return {};
    }
    if (errno != EEXIST) {
        return fail_errno("make a whiteout of", marked);
    }
    // The layer's own file of that name stays; a directory hides what a lower layer has there.
    const FileDescriptor own(
        openat(place->directory, place->name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return own ? mark_opaque(own.get()) : Result<void>{};
}

Result<void> Unpacker::mark_opaque(int directory) const {
    if (options_.whiteouts == Whiteouts::apply || options_.whiteouts == Whiteouts::none) {
        return {};
    }
    const char* name =
        options_.whiteouts == Whiteouts::overlay ? "trusted.overlay.opaque" : "user.overlay.opaque";
    if (fsetxattr(directory, name, "y", 1, 0) != 0) {
        return fail_errno("mark a directory", "opaque");
    }
    return {};
}

// Removes what lower layers have in the directory `path`.
Result<void> Unpacker::clear_lower(const std::string& path) const {
    const auto directory = tree_.open_directory(path);
    if (!directory) {
        return directory.error().code == ENOTDIR ? Result<void>{} : std::unexpected(directory.error());
    }
    std::vector<std::string> names;
    if (DIR* stream = fdopendir(openat(directory->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {
        while (const dirent* entry = readdir(stream)) {
            if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
                names.emplace_back(entry->d_name);
            }
        }
        closedir(stream);
    }
    for (const auto& name : names) {
        struct stat status{};
        const bool own = made_.contains(joined(path, name));
        const bool is_directory =
            fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(status.st_mode);
        auto done = !own           ? remove_tree(directory->get(), name)
                    : is_directory ? clear_lower(joined(path, name))
                                   : Result<void>{};
        if (!done) {
            return done;
        }
    }
    return {};
}

Result<Unpacker::Before> Unpacker::replace(const Place& place, bool by_directory) {
    struct stat status{};
    if (fstatat(place.directory, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? Result<Before>{} : fail_errno("look at", place.name);
    }
    if (S_ISDIR(status.st_mode) && by_directory) {
        return Before{.directory = true};
    }
    tree_.forget();
    if (auto removed = remove_tree(place.directory, place.name); !removed) {
        return std::unexpected(removed.error());
    }
    return Before{.whiteout = is_whiteout(status)};
}

void Unpacker::remember(const std::string& path) {
    if (options_.whiteouts == Whiteouts::apply) {
        for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            made_.insert(path.substr(0, slash));
        }
        made_.insert(path);
    }
}

Result<void> Unpacker::make(archive_entry* entry, const std::string& path, TarReader& tar) {
    const char* link = archive_entry_hardlink(entry);
    const auto type = archive_entry_filetype(entry);
    const bool is_directory = link == nullptr && type == AE_IFDIR;
    if (path.empty()) {
        return is_directory ? make_directory(entry, path, {root_, "."}, {.directory = true})
                            : fail("the root is not a directory");
    }
    const auto place = tree_.place_of(path);
    if (!place) {
        return std::unexpected(place.error());
    }
    const auto before = replace(*place, is_directory);
    if (!before) {
        return std::unexpected(before.error());
    }
    remember(path);
    if (link != nullptr) {
        return make_hard_link(link, *place);
    }
    switch (type) {
    case AE_IFDIR: return make_directory(entry, path, *place, *before);
    case AE_IFREG: return make_file(entry, *place, tar);
    default: return make_other(entry, *place);
    }
}

Result<Unpacker::Attributes> Unpacker::attributes_of(archive_entry* entry) {
    const auto uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
    constexpr la_int64_t most = UINT32_MAX - 1; // the last value means "unchanged" to chown
    if (uid < 0 || uid > most || gid < 0 || gid > most) {
        return fail(fmt::format("its owner {}:{} is not possible", uid, gid));
    }
    return Attributes{
        .uid = static_cast<uid_t>(uid),
        .gid = static_cast<gid_t>(gid),
        .mode = archive_entry_perm(entry) & 07777U,
        .modified = {.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)}};
}

Result<void> Unpacker::set_owner(const Place& place, const Attributes& attributes) const {
    if (options_.owners && fchownat(place.directory, place.name.c_str(), attributes.uid, attributes.gid,
                                    AT_SYMLINK_NOFOLLOW) != 0) {
        return fail_errno(
            "set the owner of", place.name, errno,
            errno == EINVAL ? "your subordinate IDs do not reach so far: see /etc/subuid, /etc/subgid" : "");
    }
    return {};
}

// Overlayfs's own attributes would let a layer name other directories, so a layer has none of them.
Result<void> Unpacker::set_xattrs(archive_entry* entry, const std::string& path) const {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        const std::string_view attribute = name != nullptr ? name : "";
        if (attribute.starts_with("trusted.overlay.") || attribute.starts_with("user.overlay.")) {
            return fail(fmt::format("it has the attribute {}, which is overlayfs's own", attribute));
        }
        if (lsetxattr(path.c_str(), name, value, size, 0) == 0) {
            continue;
        }
        const bool needed = attribute == "security.capability" && options_.owners;
        if (needed || (errno != ENOTSUP && errno != EPERM && errno != EINVAL)) {
            return fail_errno(fmt::format("set the attribute {} of", attribute),
                              path.substr(path.rfind('/') + 1));
        }
    }
    return {};
}

Result<void> Unpacker::make_directory(archive_entry* entry, const std::string& path, const Place& place,
                                      const Before& before) {
    auto attributes = attributes_of(entry);
    if (!attributes) {
        return std::unexpected(attributes.error());
    }
    if (!before.directory && mkdirat(place.directory, place.name.c_str(), 0700) != 0) {
        return fail_errno("make directory", place.name);
    }
    const FileDescriptor directory(
        openat(place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
        return fail_errno("open directory", place.name);
    }
    if (before.whiteout) { // what lower layers have there stays hidden
        if (auto marked = mark_opaque(directory.get()); !marked) {
            return marked;
        }
    }
    if (auto owned = set_owner(place, *attributes); !owned) {
        return owned;
    }
    directories_[path] = *attributes;
    return set_xattrs(entry, fmt::format("/proc/self/fd/{}/.", directory.get()));
}

Result<void> Unpacker::fill(int file, std::uint64_t size, TarReader& tar) {
    while (true) {
        const auto block = tar.read();
        if (!block) {
            return std::unexpected(block.error());
        }
        auto data = block->data;
        if (data.empty()) {
            return ftruncate(file, static_cast<off_t>(size)) == 0 ? Result<void>{}
                                                                  : fail_errno("write", "it");
        }
        if (block->offset > size || data.size() > size - block->offset) {
            return fail("its content is longer than it says");
        }
        for (auto offset = static_cast<off_t>(block->offset); !data.empty();) {
            const auto done = pwrite(file, data.data(), data.size(), offset);
            if (done < 0 && errno != EINTR) {
                return fail_errno("write", "it");
            }
            offset += done > 0 ? done : 0;
            data = data.subspan(done > 0 ? static_cast<std::size_t>(done) : 0);
        }
    }
}

Result<void> Unpacker::make_file(archive_entry* entry, const Place& place, TarReader& tar) {
    const auto attributes = attributes_of(entry);
    if (!attributes) {
        return std::unexpected(attributes.error());
    }
    const auto size = static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0));
    if (size > options_.most_bytes - bytes_) {
        return fail(fmt::format("the files are larger than {} bytes", options_.most_bytes));
    }
    bytes_ += size;
    const FileDescriptor file(openat(place.directory, place.name.c_str(),
                                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) {
        return fail_errno("make", place.name);
    }
    if (auto filled = fill(file.get(), size, tar); !filled) {
        return filled;
    }
    // In this order: a new owner takes set-user-ID bits and capabilities away.
    if (auto owned = set_owner(place, *attributes); !owned) {
        return owned;
    }
    if (fchmod(file.get(), attributes->mode) != 0) {
        return fail_errno("set the mode of", place.name);
    }
    if (auto set = set_xattrs(entry, path_by(place.directory, place.name)); !set) {
        return set;
    }
    const timespec times[] = {attributes->modified, attributes->modified};
    return futimens(file.get(), times) == 0 ? Result<void>{} : fail_errno("set the time of", place.name);
}

Result<void> Unpacker::make_hard_link(const std::string& target, const Place& place) {
    const auto path = Tree::normalize(target);
    if (!path) {
        return std::unexpected(path.error());
    }
    const auto [above, name] = split(*path);
    const auto directory = tree_.open_directory(above);
    if (!directory) {
        return std::unexpected(directory.error());
    }
    if (linkat(directory->get(), name.c_str(), place.directory, place.name.c_str(), 0) != 0) {
        return fail_errno("link to", target, errno, "a layer links only to files of its own");
    }
    return {};
}

Result<void> Unpacker::make_other(archive_entry* entry, const Place& place) {
    const auto attributes = attributes_of(entry);
    if (!attributes) {
        return std::unexpected(attributes.error());
    }
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFLNK) {
        const char* target = archive_entry_symlink(entry);
        if (target == nullptr || symlinkat(target, place.directory, place.name.c_str()) != 0) {
            return fail_errno("make symbolic link", place.name);
        }
    } else if (type == AE_IFIFO || type == AE_IFCHR || type == AE_IFBLK) {
        const bool is_device = type != AE_IFIFO;
        const auto device = is_device ? archive_entry_rdev(entry) : 0;
        if (type == AE_IFCHR && device == 0) {
            return fail("it is a character device 0:0, which overlayfs takes for a whiteout");
        }
        if (is_device && !options_.devices) {
            return {}; // as other tools do: a user can make none, and could not use it
        }
        if (mknodat(place.directory, place.name.c_str(), type | 0600U, device) != 0 ||
            fchmodat(place.directory, place.name.c_str(), attributes->mode, 0) != 0) {
            return fail_errno("make", place.name);
        }
    } else {
        return fail("it is of a kind that layers do not have");
    }
    if (auto owned = set_owner(place, *attributes); !owned) {
        return owned;
    }
    if (auto set = set_xattrs(entry, path_by(place.directory, place.name)); !set) {
        return set;
    }
    const timespec times[] = {attributes->modified, attributes->modified};
    return utimensat(place.directory, place.name.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0
               ? Result<void>{}
               : fail_errno("set the time of", place.name);
}

// Deepest first, so that a mode that forbids its owner to enter hides nothing that is still to be set.
Result<void> Unpacker::finish_directories() {
    for (auto entry = directories_.rbegin(); entry != directories_.rend(); ++entry) {
        const auto& [path, attributes] = *entry;
        const auto directory = tree_.open_directory(path);
        if (!directory) {
            continue; // a later entry took its place
        }
        const timespec times[] = {attributes.modified, attributes.modified};
        if (fchmod(directory->get(), attributes.mode) != 0 || futimens(directory->get(), times) != 0) {
            return fail_errno("set the mode of", path);
        }
    }
    return {};
}

} // namespace strata::image
