#include "image/store/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

namespace strata::image {
namespace {

bool lock(int fd, int operation) {
    while (flock(fd, operation) != 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

} // namespace

Result<StoreLock> StoreLock::take(const std::string& store, int operation) {
    const std::string path = store + "/lock";
    FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file || !lock(file.get(), operation)) {
        return fail_errno("lock the image store", store);
    }
    return StoreLock(std::move(file));
}

Result<StoreLock> StoreLock::shared(const std::string& store) { return take(store, LOCK_SH); }

Result<StoreLock> StoreLock::exclusive(const std::string& store) { return take(store, LOCK_EX); }

bool lock_waiting(int fd) { return lock(fd, LOCK_EX); }

bool lock_if_free(int fd) { return lock(fd, LOCK_EX | LOCK_NB); }

} // namespace strata::image
