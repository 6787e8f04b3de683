// A directory that is filled by names of which none may lead out of it: each name is resolved by the kernel
// with the directory as its root (openat2, RESOLVE_IN_ROOT), whatever symbolic links are in it.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>
#include <string_view>

namespace strata::image {

// A place in a tree: the directory, and the name in it; of the root itself the name is empty.
struct Place {
    int directory = -1;
    std::string name{};
};

class Tree {
public:
    // `root` stays the caller's.
    explicit Tree(int root) : root_(root) {}

    // "./a//b/" as "a/b", "" for the root. Names with ".." and those longer than the kernel takes are
    // refused.
    [[nodiscard]] static Result<std::string> normalize(std::string_view path);

    // Where `path`, normalized, is or will be; directories on the way are made. Its descriptor is valid until
    // the next call.
    [[nodiscard]] Result<Place> place_of(const std::string& path);

    // A directory was removed: the next place is looked for anew. Descriptors stay valid.
    void forget() { fresh_ = false; }

    // A directory that must be there already; nothing is made.
    [[nodiscard]] Result<FileDescriptor> open_directory(const std::string& path) const;

private:
    [[nodiscard]] Result<FileDescriptor> make_directory(const std::string& path) const;

    int root_;
    std::string last_path_{}; // archives give the files of a directory one after the other
    FileDescriptor last_{};
    bool fresh_ = false;
};

} // namespace strata::image
