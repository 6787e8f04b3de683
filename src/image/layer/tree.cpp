#include "image/layer/tree.hpp"

#include <climits>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace strata::image {
namespace {

FileDescriptor open_below(int root, const std::string& path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    return FileDescriptor(
        static_cast<int>(syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how)));
}

std::pair<std::string, std::string> split(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::pair(std::string{}, path)
                                      : std::pair(path.substr(0, slash), path.substr(slash + 1));
}

} // namespace

Result<std::string> Tree::normalize(std::string_view path) {
    std::string normal;
    while (!path.empty()) {
        const auto slash = path.find('/');
        const auto part = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        if (part == "..") {
            return fail("a name with '..' is not allowed");
        }
        if (!part.empty() && part != ".") {
            normal.append(normal.empty() ? "" : "/").append(part);
        }
    }
    if (normal.size() >= PATH_MAX) {
        return fail(fmt::format("a name is longer than {} bytes", PATH_MAX - 1));
    }
    return normal;
}

Result<FileDescriptor> Tree::open_directory(const std::string& path) const {
    auto directory = open_below(root_, path, O_RDONLY | O_DIRECTORY);
    if (!directory) {
        return fail_errno("open directory", path);
    }
    return directory;
}

Result<FileDescriptor> Tree::make_directory(const std::string& path) const {
    if (auto there = open_below(root_, path, O_RDONLY | O_DIRECTORY)) {
        return there;
    }
    if (errno != ENOENT) {
        return fail_errno("open directory", path);
    }
    const auto [above, name] = split(path);
    const auto parent = make_directory(above);
    if (!parent) {
        return std::unexpected(parent.error());
    }
    if (mkdirat(parent->get(), name.c_str(), 0755) != 0) {
        return fail_errno("make directory", path);
    }
    return open_directory(path);
}

Result<Place> Tree::place_of(const std::string& path) {
    const auto [above, name] = split(path);
    if (!fresh_ || above != last_path_) {
        auto directory = make_directory(above);
        if (!directory) {
            return std::unexpected(directory.error());
        }
        last_ = std::move(*directory);
        last_path_ = above;
        fresh_ = true;
    }
    return Place{last_.get(), name};
}

} // namespace strata::image
