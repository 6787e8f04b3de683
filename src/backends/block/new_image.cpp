#include "backends/block/new_image.hpp"

#include "base/open_file.hpp"

#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace strata::backends {

namespace {

// The permissions that open() would give a new file.
mode_t new_file_mode() {
    const mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

// An empty file of a name of its own beside `path`.
Result<std::string> make_aside(const std::string& path, mode_t mode) {
    std::string aside = path + ".part-XXXXXX";
    const FileDescriptor file(mkostemp(aside.data(), O_CLOEXEC));
    if (!file || fchmod(file.get(), mode) != 0) {
        return fail_errno("create disk", path, errno, hint_for(errno));
    }
    return aside;
}

} // namespace

Result<NewImage> NewImage::begin(const std::string& path, bool replace) {
    struct stat status{};
    if (lstat(path.c_str(), &status) != 0) {
        auto aside = make_aside(path, new_file_mode());
        if (!aside) {
            return std::unexpected(aside.error());
        }
        return NewImage(path, std::move(*aside), {});
    }
    if (!replace) {
        return fail("disk " + path + " exists", "choose another name, or add --force to replace it");
    }
    std::error_code failed;
    const auto target = std::filesystem::canonical(path, failed); // a link stays a link
    if (failed) {
        return fail_errno("replace disk", path, failed.value(), hint_for(failed.value()));
    }
    auto replaced = ImageFile::open(target.string(), ImageFile::Access::read_write);
    if (!replaced) {
        return std::unexpected(replaced.error());
    }
    if (replaced->is_block_device()) {
        return NewImage(path, {}, {});
    }
    stat(target.c_str(), &status);
    auto aside = make_aside(target.string(), status.st_mode & 07777);
    if (!aside) {
        return std::unexpected(aside.error());
    }
    return NewImage(target.string(), std::move(*aside), std::move(*replaced));
}

NewImage::NewImage(NewImage&& other) noexcept
    : path_(std::move(other.path_)), aside_(std::exchange(other.aside_, {})),
      replaced_(std::move(other.replaced_)) {}

NewImage::~NewImage() {
    if (!aside_.empty()) {
        unlink(aside_.c_str());
    }
}

Result<void> NewImage::finish() {
    if (aside_.empty()) {
        return {};
    }
    const unsigned flags = replaced_ ? 0 : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, aside_.c_str(), AT_FDCWD, path_.c_str(), flags) != 0) {
        return fail_errno("create disk", path_, errno,
                          errno == EEXIST ? "it appeared meanwhile: choose another name" : hint_for(errno));
    }
    aside_.clear();
    return {};
}

} // namespace strata::backends
