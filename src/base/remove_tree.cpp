#include "base/remove_tree.hpp"

#include "base/file_descriptor.hpp"

#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <vector>

namespace strata {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};

// The user's own directory may forbid its owner what only root may do regardless.
FileDescriptor open_directory(int parent, const char* name) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    FileDescriptor directory(openat(parent, name, flags));
    if (!directory && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0) {
        directory.reset(openat(parent, name, flags));
    }
    if (directory) {
        static_cast<void>(faccessat(directory.get(), ".", W_OK | X_OK, 0) == 0 ||
                          fchmod(directory.get(), 0700) == 0);
    }
    return directory;
}

Result<std::vector<std::string>> names_in(int directory) {
    const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDirectory> stream(copy >= 0 ? fdopendir(copy) : nullptr);
    if (!stream) {
        return fail_errno("read", "a directory that is to be removed");
    }
    std::vector<std::string> names;
    while (const dirent* entry = readdir(stream.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") {
            names.push_back(name);
        }
    }
    return names;
}

bool is_directory_error(int code) { return code == EISDIR || code == EPERM; }

// Lifts what is in `directory/name`, a directory, up into `directory`, and removes the empty rest: so the
// tree loses its depth without a descriptor for each level.
Result<void> dissolve(int directory, const std::string& name, std::uint64_t& count) {
    const auto child = open_directory(directory, name.c_str());
    if (!child) {
        return fail_errno("open", name);
    }
    const auto names = names_in(child.get());
    if (!names) {
        return std::unexpected(names.error());
    }
    for (const auto& inner : *names) {
        if (unlinkat(child.get(), inner.c_str(), 0) == 0 || !is_directory_error(errno)) {
            continue;
        }
        if (unlinkat(child.get(), inner.c_str(), AT_REMOVEDIR) == 0) {
            continue;
        }
        // A directory can be moved only by who may write to it.
        static_cast<void>(open_directory(child.get(), inner.c_str()));
        std::string lifted;
        do {
            lifted = "lifted-" + std::to_string(count++);
        } while (renameat2(child.get(), inner.c_str(), directory, lifted.c_str(), RENAME_NOREPLACE) != 0 &&
                 errno == EEXIST);
    }
    if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0) {
        return fail_errno("remove", name);
    }
    return {};
}

} // namespace

Result<void> remove_content(int directory) {
    std::uint64_t count = 0;
    while (true) {
        const auto names = names_in(directory);
        if (!names || names->empty()) {
            return names ? Result<void>{} : std::unexpected(names.error());
        }
        for (const auto& name : *names) {
            if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) {
                continue;
            }
            if (!is_directory_error(errno)) {
                return fail_errno("remove", name);
            }
            if (auto done = dissolve(directory, name, count); !done) {
                return done;
            }
        }
    }
}

Result<void> remove_tree(int parent, const std::string& name) {
    if (unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) {
        return {};
    }
    if (!is_directory_error(errno)) {
        return fail_errno("remove", name);
    }
    const auto directory = open_directory(parent, name.c_str());
    if (!directory) {
        return fail_errno("remove", name);
    }
    if (auto emptied = remove_content(directory.get()); !emptied) {
        return emptied;
    }
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) {
        return fail_errno("remove", name);
    }
    return {};
}

Result<void> remove_tree(const std::string& path) { return remove_tree(AT_FDCWD, path); }

} // namespace strata
