// A container's root as the creator sees it: every path is resolved by the kernel inside it (openat2 with
// RESOLVE_IN_ROOT), so that no symbolic link of the image, also one exchanged meanwhile, leads out.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace strata::container {

class RootDirectory {
public:
    static Result<RootDirectory> open(const std::string& path);

    explicit RootDirectory(FileDescriptor directory) : directory_(std::move(directory)) {}

    // Opens what is at `path`; `resolve` are further RESOLVE_ flags. The error's code is the errno.
    [[nodiscard]] Result<FileDescriptor> open_at(const std::string& path, int flags,
                                                 std::uint64_t resolve = 0) const;

    // The directory at `path` (O_PATH), made with those above it if missing; at most so many `links` to what
    // is missing are followed on the way.
    [[nodiscard]] Result<FileDescriptor> make_directory(const std::string& path, mode_t mode = 0755,
                                                        int links = 8) const;

    // What is at `path` (O_PATH); an empty file is made there if nothing is.
    [[nodiscard]] Result<FileDescriptor> make_file(const std::string& path, mode_t mode = 0644) const;

    [[nodiscard]] int fd() const { return directory_.get(); }

private:
    FileDescriptor directory_;
};

// "/a/b/" as {"/a", "b"}; the name of "/" is empty.
struct SplitPath {
    std::string parent, name;
};

[[nodiscard]] SplitPath split_path(const std::string& path);

} // namespace strata::container
