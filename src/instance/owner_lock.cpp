#include "instance/owner_lock.hpp"

#include <cerrno>
#include <fcntl.h>

namespace strata::instance {
namespace {

struct flock whole_file(short type) {
    return {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
}

// F_UNLCK, or the type of a lock that would be in the way of an owner.
short type_in_the_way(const FileDescriptor& file) {
    auto lock = whole_file(F_WRLCK);
    return fcntl(file.get(), F_OFD_GETLK, &lock) == 0 ? lock.l_type : static_cast<short>(F_UNLCK);
}

} // namespace

bool own(const FileDescriptor& file) {
    auto lock = whole_file(F_WRLCK);
    while (fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
        // One who waited for the owner has a shared lock for a moment, and gives it back.
        if ((errno != EAGAIN && errno != EACCES && errno != EINTR) || type_in_the_way(file) == F_WRLCK) {
            return false;
        }
    }
    return true;
}

bool is_owned(const FileDescriptor& file) { return type_in_the_way(file) == F_WRLCK; }

void wait_for_owner(const FileDescriptor& file) {
    auto lock = whole_file(F_RDLCK);
    while (fcntl(file.get(), F_OFD_SETLKW, &lock) != 0 && errno == EINTR) {
    }
    lock = whole_file(F_UNLCK);
    fcntl(file.get(), F_OFD_SETLK, &lock);
}

} // namespace strata::instance
