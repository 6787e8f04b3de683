#include "base/open_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata {

std::string hint_for(int code) {
    switch (code) {
    case ENOENT: return "check the path; a relative one starts at the current directory";
    case EACCES:
    case EPERM: return "check its permissions and those of the directories above it, or who you are (id)";
    case EISDIR: return "name a file in it";
    case ENOTDIR: return "a part of the path before its last name is a file";
    case EROFS: return "the file system is mounted read-only; choose another place";
    case ENOSPC: return "make room on the file system, or choose another place";
    case EDQUOT: return "your quota is used up: make room, or choose another place";
    case EFBIG: return "the file system or 'ulimit -f' forbids files that large";
    case EMFILE: return "raise the limit of open files: ulimit -n";
    case ENOMEM: return "free some memory of the host, or ask for less";
    case ETXTBSY: return "the file is a program that runs";
    case EADDRINUSE: return "another program listens there: choose another, or stop it";
    case EADDRNOTAVAIL: return "this host has no such address: see 'ip address'";
    default: return {};
    }
}

std::string_view kind_of_file(unsigned mode) {
    switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    default: return "a regular file";
    }
}

Result<FileDescriptor> open_to_read(const std::string& path, std::string_view what) {
    const std::string object = std::string(what) + " " + path;
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) {
        return fail_errno("open", object, errno, hint_for(errno));
    }
    struct stat status{};
    if (fstat(file.get(), &status) != 0) {
        return fail_errno("examine", object);
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(object + " is " + std::string(kind_of_file(status.st_mode)) + ", not a regular file",
                    S_ISDIR(status.st_mode) ? "name a file in it" : "copy what it gives to a file first");
    }
    return file;
}

Result<FileDescriptor> open_to_write(const std::string& path, std::string_view what) {
    const std::string object = std::string(what) + " " + path;
    FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666));
    struct stat status{};
    if (!file) {
        const int code = errno;
        const bool fifo = code == ENXIO && stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
        return fail_errno("open", object, code,
                          fifo ? "nobody reads from this FIFO: start its reader first" : hint_for(code));
    }
    if (fstat(file.get(), &status) != 0 || (S_ISREG(status.st_mode) && ftruncate(file.get(), 0) != 0) ||
        fcntl(file.get(), F_SETFL, 0) != 0) {
        return fail_errno("write", object);
    }
    return file;
}

} // namespace strata
