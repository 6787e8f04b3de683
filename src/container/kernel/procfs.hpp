// A procfs that is known to be one: files that decide about security (labels, sysctls, ID maps) are written
// through it, never by a path that an image or a mount could have replaced.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>
#include <string_view>

namespace strata::container {

class Procfs {
public:
    // A private instance that no path leads to, or, without the privilege, /proc, checked to be procfs.
    static Result<Procfs> open();

    // `path` is relative ("self/uid_map"). Symbolic links other than self and thread-self are not followed,
    // and no mount inside procfs is crossed.
    [[nodiscard]] Result<FileDescriptor> open_at(const std::string& path, int flags) const;

    // Writes `text` in one call, as most of these files want it.
    [[nodiscard]] Result<void> write(const std::string& path, std::string_view text) const;
    [[nodiscard]] Result<std::string> read(const std::string& path) const;

private:
    explicit Procfs(FileDescriptor directory) : directory_(std::move(directory)) {}

    FileDescriptor directory_;
};

// All of a small file of the kernel's.
[[nodiscard]] Result<std::string> read_text_at(int directory, const std::string& path, int flags = 0);
[[nodiscard]] Result<std::string> read_descriptor(int fd, const std::string& name);

} // namespace strata::container
