#include "base/atomic_file.hpp"

#include "base/file_descriptor.hpp"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata {
namespace {

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) {
        return ".";
    }
    return slash == 0 ? "/" : path.substr(0, slash);
}

// A rename is on disk when its directory is.
Result<void> flush_directory(const std::string& path) {
    const FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || fsync(directory.get()) != 0) {
        return fail_errno("flush", path);
    }
    return {};
}

enum class Flush { yes, no };

Result<void> fill(int fd, std::string_view contents, mode_t mode, const std::string& path, Flush flush) {
    if (auto written = write_all(fd, contents, path); !written) {
        return written;
    }
    if (fchmod(fd, mode) != 0 || (flush == Flush::yes && fsync(fd) != 0)) {
        return fail_errno("write", path);
    }
    return {};
}

Result<void> replace(const std::string& path, std::string_view contents, mode_t mode, Flush flush) {
    std::string aside = path + ".XXXXXX";
    const FileDescriptor file(mkostemp(aside.data(), O_CLOEXEC));
    if (!file) {
        return fail_errno("write", path);
    }
    if (auto filled = fill(file.get(), contents, mode, path, flush); !filled) {
        unlink(aside.c_str());
        return filled;
    }
    if (rename(aside.c_str(), path.c_str()) != 0) {
        const int code = errno;
        unlink(aside.c_str());
        return fail_errno("replace", path, code);
    }
    return {};
}

} // namespace

Result<void> write_all(int fd, std::span<const std::byte> data, std::string_view object) {
    while (!data.empty()) {
        const auto done = write(fd, data.data(), data.size());
        if (done < 0 && errno != EINTR) {
            return fail_errno("write", object);
        }
        data = data.subspan(done > 0 ? static_cast<std::size_t>(done) : 0);
    }
    return {};
}

Result<void> write_all(int fd, std::string_view data, std::string_view object) {
    return write_all(fd, std::as_bytes(std::span(data)), object);
}

Result<void> replace_file(const std::string& path, std::string_view contents, mode_t mode) {
    auto replaced = replace(path, contents, mode, Flush::yes);
    return replaced ? flush_directory(directory_of(path)) : replaced;
}

Result<void> replace_passing_file(const std::string& path, std::string_view contents, mode_t mode) {
    return replace(path, contents, mode, Flush::no);
}

Result<void> make_directories(const std::string& path, mode_t mode) {
    if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) { // as it is but once
        return {};
    }
    for (auto slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
        const auto part = path.substr(0, slash);
        if (!part.empty() && mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
            return fail_errno("make directory", part);
        }
        if (slash == std::string::npos) {
            return {};
        }
    }
}

} // namespace strata
