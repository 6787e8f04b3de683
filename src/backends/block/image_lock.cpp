#include "backends/block/image_lock.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>

namespace strata::backends {

namespace {

// QEMU says what it does with an image by shared locks on single bytes: byte 100 + n while it uses permission
// n, byte 200 + n while it does not allow others permission n. Permission 1 is writing.
constexpr off_t qemu_writes = 101;
constexpr off_t qemu_forbids_writing = 201;

struct flock byte_lock(short type, off_t start, off_t length) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return lock;
}

bool is_conflict(int code) { return code == EAGAIN || code == EACCES; }

std::unexpected<Error> in_use(const std::string& path, bool writer) {
    return fail("disk " + path + " is in use by another process",
                writer ? "stop the other user, or open the disk read-only"
                       : "stop the process that writes to it");
}

// False when someone else holds a lock. File systems without locks leave the image unlocked.
bool take(int fd, short type, off_t start, off_t length) {
    auto lock = byte_lock(type, start, length);
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 || !is_conflict(errno);
}

bool held_by_other(int fd, off_t byte) {
    auto lock = byte_lock(F_WRLCK, byte, 1);
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

} // namespace

Result<void> lock_image(int fd, const std::string& path, bool writer) {
    constexpr off_t whole_file = 0;
    const bool locked = writer
                            ? take(fd, F_WRLCK, 0, whole_file)
                            : take(fd, F_RDLCK, qemu_forbids_writing, 1) && !held_by_other(fd, qemu_writes);
    if (!locked) {
        return in_use(path, writer);
    }
    return {};
}

} // namespace strata::backends
