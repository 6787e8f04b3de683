#include "container/mounts/masks.hpp"

#include "container/mounts/mount.hpp"

#include <fcntl.h>

namespace strata::container {
namespace {

bool is_missing(const Error& error) { return error.code == ENOENT || error.code == ENOTDIR; }

// One tmpfs is enough for all masked directories; each gets a copy of its mount.
Result<FileDescriptor> make_empty_directory(const std::string& label) {
    const Mount mount{.destination = "masked paths",
                      .type = "tmpfs",
                      .source = "tmpfs",
                      .options = {"ro", "nr_blocks=1", "nr_inodes=1"},
                      .uid_mappings = {},
                      .gid_mappings = {}};
    const auto options = parse_mount_options(mount);
    return options ? make_filesystem(mount, *options, label) : std::unexpected(options.error());
}

// Puts a cover over many places. The first place gets the detached mount itself, the others copies of it:
// only what is mounted can be copied on kernels before 6.15.
class Cover {
public:
    explicit Cover(int detached) : mount_(detached) {}

    Result<void> put_on(int target, const std::string& path) {
        if (!used_) {
            used_ = true;
            return attach_mount(mount_, target, path);
        }
        const auto copy = copy_mount(mount_, "", false);
        return copy ? attach_mount(copy->get(), target, path) : std::unexpected(copy.error());
    }

private:
    int mount_;
    bool used_ = false;
};

} // namespace

Result<void> mask_paths(const RootDirectory& root, const std::vector<std::string>& paths, int null,
                        const std::string& label) {
    if (paths.empty()) {
        return {};
    }
    const auto empty = make_empty_directory(label);
    if (!empty) {
        return std::unexpected(empty.error());
    }
    Cover file_cover(null), directory_cover(empty->get());
    for (const auto& path : paths) {
        const auto target = root.open_at(path, O_PATH);
        if (!target) {
            if (is_missing(target.error())) {
                continue;
            }
            return std::unexpected(target.error());
        }
        Cover& cover = is_directory(target->get()) ? directory_cover : file_cover;
        if (auto covered = cover.put_on(target->get(), path); !covered) {
            return covered;
        }
    }
    return {};
}

Result<void> make_paths_read_only(const RootDirectory& root, const std::vector<std::string>& paths) {
    for (const auto& path : paths) {
        const auto target = root.open_at(path, O_PATH);
        if (!target) {
            if (is_missing(target.error())) {
                continue;
            }
            return std::unexpected(target.error());
        }
        const auto copy = copy_mount(target->get(), "", true);
        if (!copy) {
            return std::unexpected(copy.error());
        }
        MountOptions options;
        options.set_recursive = MOUNT_ATTR_RDONLY;
        if (auto set = set_attributes(copy->get(), options, -1, path); !set) {
            return set;
        }
        if (auto attached = attach_mount(copy->get(), target->get(), path); !attached) {
            return attached;
        }
    }
    return {};
}

} // namespace strata::container
